import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x, y):
        return x.transpose(1, 2) * y


def get_inputs():
    return [torch.randn(5, 7, 11), torch.randn(11, 7)]


def get_init_inputs():
    return []
