import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return x.unsqueeze(1) - x.unsqueeze(0)


def get_inputs():
    return [torch.randn(13, 7)]


def get_init_inputs():
    return []
