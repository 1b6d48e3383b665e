import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return torch.min(x, dim=1, keepdim=True)[0]


def get_inputs():
    return [torch.randn(7, 11, 13)]


def get_init_inputs():
    return []
