import torch
import torch.nn as nn


class Model(nn.Module):
    """Two layers of LSTM over a sequence, then a linear layer of what the last step gives; the states, too."""

    def __init__(self, inputs, hidden, layers, classes):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x, h0, c0):
        out, (h, c) = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1, :]), h, c


batch, steps, inputs, hidden, layers, classes = 5, 29, 19, 37, 2, 11


def get_inputs():
    return [torch.randn(batch, steps, inputs), torch.randn(layers, batch, hidden), torch.randn(layers, batch, hidden)]


def get_init_inputs():
    return [inputs, hidden, layers, classes]
