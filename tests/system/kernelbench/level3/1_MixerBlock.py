import torch
import torch.nn as nn


class Model(nn.Module):
    """An MLP-mixer block: mixing over tokens, then over channels, each with a residual connection."""

    def __init__(self, tokens, channels, hidden):
        super().__init__()
        self.token_norm = nn.LayerNorm(channels)
        self.token_mlp = nn.Sequential(nn.Linear(tokens, hidden), nn.GELU(), nn.Linear(hidden, tokens))
        self.channel_norm = nn.LayerNorm(channels)
        self.channel_mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def forward(self, x):
        x = x + self.token_mlp(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mlp(self.channel_norm(x))


tokens, channels, hidden = 19, 26, 37


def get_inputs():
    return [torch.randn(3, tokens, channels)]


def get_init_inputs():
    return [tokens, channels, hidden]
