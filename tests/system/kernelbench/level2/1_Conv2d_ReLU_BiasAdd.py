import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(5, 9, 3)
        self.bias = nn.Parameter(torch.randn(9, 1, 1))

    def forward(self, x):
        return torch.relu(self.conv(x)) + self.bias


def get_inputs():
    return [torch.randn(3, 5, 17, 13)]


def get_init_inputs():
    return []
