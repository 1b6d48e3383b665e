# KernelBench form: RMS normalisation over the channels of an image batch, as a module with a parameter. Sizes are primes.
import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, features: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.rand(features) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean_square = x.pow(2).mean(dim=-1, keepdim=True)
        return x * torch.rsqrt(mean_square + self.eps) * self.weight


rows, features = 613, 1009


def get_inputs():
    return [torch.rand(rows, features)]


def get_init_inputs():
    return [features]
