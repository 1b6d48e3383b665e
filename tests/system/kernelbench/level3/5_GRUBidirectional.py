import torch
import torch.nn as nn


class Model(nn.Module):
    """Two layers of GRU in both directions; all outputs and the last states."""

    def __init__(self, inputs, hidden, layers):
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, layers, bias=True, bidirectional=True)

    def forward(self, x, h0):
        return self.gru(x, h0)


steps, batch, inputs, hidden, layers = 23, 7, 21, 33, 2


def get_inputs():
    return [torch.randn(steps, batch, inputs), torch.randn(2 * layers, batch, hidden)]


def get_init_inputs():
    return [inputs, hidden, layers]
