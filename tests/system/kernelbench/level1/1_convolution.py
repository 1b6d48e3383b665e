import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, stride=2, padding=1, dilation=1)

    def forward(self, x):
        return self.conv(x)


channels = 5
filters = 7


def get_inputs():
    return [torch.randn(3, 5, 17, 13)]


def get_init_inputs():
    return [channels, filters]
