"""The same ResNet-50 in MindSpore; see ``torch_net.py`` for the architecture.

Three forms of it: with the structure of the PyTorch network, inside another network (``uvp.`` before every name), and
with a further level inside every child of the root (``custorm``).
"""

import mindspore
from mindspore import nn, ops

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride
EXPANSION = 4


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, pad_mode="pad", padding=kernel // 2)


class Bottleneck(nn.Cell):
    """Feature maps (batch, inputs, height, width) → (batch, 4 * width, height / stride, width / stride)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = _conv(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.SequentialCell(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return ops.relu(y + (x if self.downsample is None else self.downsample(x)))


class Inner(nn.Cell):
    """A cell with one child."""

    def __init__(self, cell: nn.Cell) -> None:
        super().__init__()
        self.custorm = cell

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        return self.custorm(x)


class ResNet50(nn.Cell):
    """Images (batch, 3, height, width) → class scores (batch, classes)."""

    def __init__(self, num_classes: int = 1000, deeper: bool = False) -> None:
        super().__init__()
        wrapped = Inner if deeper else (lambda cell: cell)
        self.conv1 = wrapped(_conv(3, 64, 7, 2))
        self.bn1 = wrapped(nn.BatchNorm2d(64))
        self.maxpool = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1)
        inputs = 64
        for number, (width, blocks, stride) in enumerate(STAGES, start=1):
            stage = []
            for block in range(blocks):
                stage.append(Bottleneck(inputs, width, stride if block == 0 else 1))
                inputs = EXPANSION * width
            setattr(self, f"layer{number}", wrapped(nn.SequentialCell(*stage)))
        self.fc = wrapped(nn.Dense(inputs, num_classes))

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        x = self.maxpool(ops.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Application(nn.Cell):
    """A network that uses a ResNet-50 as one of its parts."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.uvp = ResNet50(num_classes)

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        return self.uvp(x)
