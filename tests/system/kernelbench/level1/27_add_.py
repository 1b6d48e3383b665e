import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        y = x * 2
        y += x
        y += 1
        return y


def get_inputs():
    return [torch.randn(17, 31)]


def get_init_inputs():
    return []
