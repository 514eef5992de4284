"""The same two networks in MindSpore."""

from mindspore import Tensor, nn, ops

WIDTH, HEADS, CLASSES = 16, 4, 5


class Cnn(nn.Cell):
    """Images (batch, 3, 12, 12) → scores (batch, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, pad_mode="pad", padding=1, has_bias=True)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, WIDTH, 3, stride=2, pad_mode="pad", padding=1)
        self.norm2 = nn.BatchNorm2d(WIDTH)
        self.head = nn.Dense(WIDTH, CLASSES)

    def construct(self, x: Tensor) -> Tensor:
        x = ops.relu(self.norm1(self.conv1(x)))
        x = ops.relu(self.norm2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


class Encoder(nn.Cell):
    """Sequences (batch, length, 3) → scores (batch, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Dense(3, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2)
        self.norm = nn.LayerNorm((WIDTH,), epsilon=1e-5)
        self.head = nn.Dense(WIDTH, CLASSES)

    def construct(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layers(self.embed(x))).mean(1))


NETS = {"cnn": Cnn, "encoder": Encoder}
