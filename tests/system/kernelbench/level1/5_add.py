import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x, y):
        return torch.add(x, y, alpha=1.5) + 2


def get_inputs():
    return [torch.randn(7, 5, 33), torch.randn(5, 1)]


def get_init_inputs():
    return []
