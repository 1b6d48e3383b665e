import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x):
        return self.norm(x)


features = 29


def get_inputs():
    return [torch.randn(5, 7, 29)]


def get_init_inputs():
    return [features]
