import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.ConvTranspose3d(3, 6, 3, stride=2, padding=1, output_padding=1)
        self.sum_weight = nn.Parameter(torch.tensor(1.25))
        self.norm = nn.LayerNorm(10)
        self.pool = nn.AvgPool3d(2)

    def forward(self, x):
        return F.gelu(self.pool(self.norm(self.conv(x) + self.sum_weight)))


def get_inputs():
    return [torch.randn(2, 3, 4, 6, 5)]


def get_init_inputs():
    return []
