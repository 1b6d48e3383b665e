# KernelBench form: softmax over an axis that is not the last one, with a batch of one. No size is a multiple of 16.
import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, dim=1)


def get_inputs():
    return [torch.randn(1, 517, 331)]


def get_init_inputs():
    return []
