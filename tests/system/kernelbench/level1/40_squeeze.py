import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return x.mean(dim=2, keepdim=True).squeeze(2)


def get_inputs():
    return [torch.randn(7, 5, 9)]


def get_init_inputs():
    return []
