import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.norm(x)


channels = 6


def get_inputs():
    return [torch.randn(5, 6, 7, 9)]


def get_init_inputs():
    return [channels]
