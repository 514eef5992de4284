"""The same network written for MindSpore: its own layers, padding inside the convolutions, its own parameter names."""

from mindspore import Tensor, nn, ops


def conv(
    inputs: int, outputs: int, height: int = 64, stride: int = 1, padding: tuple[int, int] = (31, 32)
) -> nn.Conv2d:
    """A convolution along time; `padding` is (before, after)."""
    return nn.Conv2d(inputs, outputs, (height, 1), (stride, 1), pad_mode="pad", padding=(*padding, 0, 0), has_bias=True)


class Crepe(nn.Cell):
    """Frames of 1024 samples, shape (batch, 1024) → the activation of 360 pitches, shape (batch, 360)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(1, 128, height=512, stride=4, padding=(254, 254))
        self.conv1_BN = nn.BatchNorm2d(128, eps=1e-3)
        self.conv2 = conv(128, 16)
        self.conv2_BN = nn.BatchNorm2d(16, eps=1e-3)
        self.conv3 = conv(16, 16)
        self.conv3_BN = nn.BatchNorm2d(16, eps=1e-3)
        self.conv4 = conv(16, 16)
        self.conv4_BN = nn.BatchNorm2d(16, eps=1e-3)
        self.conv5 = conv(16, 32)
        self.conv5_BN = nn.BatchNorm2d(32, eps=1e-3)
        self.conv6 = conv(32, 64)
        self.conv6_BN = nn.BatchNorm2d(64, eps=1e-3)
        self.classifier = nn.Dense(256, 360)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=(2, 1), stride=(2, 1))

    def construct(self, frames: Tensor) -> Tensor:
        x = ops.expand_dims(ops.expand_dims(frames, 1), 3)
        x = self.pool(self.conv1_BN(self.relu(self.conv1(x))))
        x = self.pool(self.conv2_BN(self.relu(self.conv2(x))))
        x = self.pool(self.conv3_BN(self.relu(self.conv3(x))))
        x = self.pool(self.conv4_BN(self.relu(self.conv4(x))))
        x = self.pool(self.conv5_BN(self.relu(self.conv5(x))))
        x = self.pool(self.conv6_BN(self.relu(self.conv6(x))))
        return ops.sigmoid(self.classifier(x.transpose(0, 2, 1, 3).reshape(x.shape[0], -1)))
