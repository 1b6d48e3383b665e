import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.linear = nn.Linear(features, outputs)

    def forward(self, x):
        return self.linear(x)


features = 37
outputs = 19


def get_inputs():
    return [torch.randn(13, 37)]


def get_init_inputs():
    return [features, outputs]
