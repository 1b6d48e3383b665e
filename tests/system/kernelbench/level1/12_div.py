import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x, y):
        return x / (y.abs() + 1) / 3.0


def get_inputs():
    return [torch.randn(17, 31), torch.randn(31)]


def get_init_inputs():
    return []
