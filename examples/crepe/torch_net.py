"""The CREPE pitch tracker in PyTorch, with the parameter names of the published weights.

Architecture: J. W. Kim, J. Salamon, P. Li, J. P. Bello, "CREPE: A Convolutional Representation for Pitch Estimation",
ICASSP 2018. This is its smallest variant.
"""

from itertools import pairwise

import torch
from torch import nn

CHANNELS = (1, 128, 16, 16, 16, 32, 64)
BINS = 360


class Crepe(nn.Module):
    """Frames of 1024 samples, shape (batch, 1024) → the activation of 360 pitches, shape (batch, 360)."""

    def __init__(self) -> None:
        super().__init__()
        for number, (inputs, outputs) in enumerate(pairwise(CHANNELS), start=1):
            kernel, stride = ((512, 1), (4, 1)) if number == 1 else ((64, 1), (1, 1))
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, kernel, stride))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(outputs, eps=1e-3))
        self.classifier = nn.Linear(4 * CHANNELS[-1], BINS)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = frames[:, None, :, None]
        for number in range(1, len(CHANNELS)):
            before, after = (254, 254) if number == 1 else (31, 32)
            x = nn.functional.pad(x, (0, 0, before, after))
            x = torch.relu(self.get_submodule(f"conv{number}")(x))
            x = nn.functional.max_pool2d(self.get_submodule(f"conv{number}_BN")(x), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).flatten(1)))
