import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.proj = nn.Linear(features, 20, bias=False)

    def forward(self, x):
        return self.proj(x)


features = 12


def get_inputs():
    return [torch.randn(3, 7, 12)]


def get_init_inputs():
    return [features]
