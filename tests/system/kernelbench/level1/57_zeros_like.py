import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        y = torch.zeros_like(x)
        y[:, ::2] = x[:, ::2]
        return y


def get_inputs():
    return [torch.randn(7, 13)]


def get_init_inputs():
    return []
