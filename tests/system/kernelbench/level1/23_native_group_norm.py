import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)

    def forward(self, x):
        return self.norm(x)


channels = 12


def get_inputs():
    return [torch.randn(3, 12, 5, 7)]


def get_init_inputs():
    return [channels]
