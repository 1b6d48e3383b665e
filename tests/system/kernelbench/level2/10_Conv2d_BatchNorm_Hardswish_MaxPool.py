import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(5, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(F.hardswish(self.norm(self.conv(x))))


def get_inputs():
    return [torch.randn(4, 5, 11, 13)]


def get_init_inputs():
    return []
