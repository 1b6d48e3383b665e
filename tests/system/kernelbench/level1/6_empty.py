import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, x):
        out = torch.empty(x.shape[0], self.features + 2)
        out[:, :self.features] = x
        out[:, self.features:] = x[:, :2] * 2
        return out


features = 11


def get_inputs():
    return [torch.randn(17, 11)]


def get_init_inputs():
    return [features]
