import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        q, k, v = x.unbind(1)
        return q * k - v


def get_inputs():
    return [torch.randn(7, 3, 11)]


def get_init_inputs():
    return []
