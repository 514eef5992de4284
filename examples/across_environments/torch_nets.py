"""Two small networks in PyTorch."""

import torch
from torch import nn

WIDTH, HEADS, CLASSES = 16, 4, 5


class Cnn(nn.Module):
    """Images (batch, 3, 12, 12) → scores (batch, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, WIDTH, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


class Encoder(nn.Module):
    """Sequences (batch, length, 3) → scores (batch, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.layers(self.embed(x))).mean(1))


NETS = {"cnn": (Cnn, (4, 3, 12, 12)), "encoder": (Encoder, (4, 7, 3))}
