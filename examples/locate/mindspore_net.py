"""The same network, ported by hand. The weights fit; the outputs do not."""

import mindspore
from mindspore import Parameter, nn, ops


class Block(nn.Cell):
    """Attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm((width,))
        self.qkv = nn.Dense(width, 3 * width)
        self.proj = nn.Dense(width, width)
        self.norm2 = nn.LayerNorm((width,))
        self.fc1 = nn.Dense(width, 4 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Dense(4 * width, width)

    def attend(self, x: mindspore.Tensor) -> mindspore.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
        scores = ops.matmul(q, k.swapaxes(-2, -1))
        mixed = ops.matmul(ops.softmax(scores, -1), v)
        return self.proj(mixed.swapaxes(1, 2).reshape(batch, length, width))

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        x = x + self.attend(self.norm1(x))
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Cell):
    """Patches, blocks, a head."""

    def __init__(self, width: int = 32, depth: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8, has_bias=True)
        self.position = Parameter(ops.zeros((1, 16, width), mindspore.float32), name="position")
        self.blocks = nn.CellList([Block(width, 4) for _ in range(depth)])
        self.norm = nn.LayerNorm((width,), epsilon=1e-6)
        self.head = nn.Dense(width, classes)

    def construct(self, images: mindspore.Tensor) -> mindspore.Tensor:
        x = self.patches(images)
        x = x.reshape(*x.shape[:2], -1).swapaxes(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))
