"""The same networks in MindSpore; `flaws` are what is wrong with them."""

import mindspore
from mindspore import nn, ops


class Block(nn.Cell):
    def __init__(self, width, flaws=frozenset()):
        super().__init__()
        self.flaws = flaws
        self.norm = nn.LayerNorm((width,), epsilon=1e-3 if "eps" in flaws else 1e-5)
        self.up = nn.Dense(width, 2 * width)
        self.act = nn.GELU(approximate="gelu" in flaws)
        self.down = nn.Dense(2 * width, width)
        self.drop = nn.Dropout(p=0.2)

    def construct(self, x):
        y = self.norm(x)
        if "half" in self.flaws:
            y = y.astype(mindspore.float16).astype(mindspore.float32)
        y = self.up(y)
        if "stopped" in self.flaws:
            y = ops.stop_gradient(y)
        y = self.drop(self.down(self.act(y)))
        if "negated" in self.flaws:
            y = -y
        if "rolled" in self.flaws:
            y = ops.roll(y, 1, -1)
        return y if "no-residual" in self.flaws else x + y


class Mixer(nn.Cell):
    def __init__(self, first=(), second=(), own=()):
        super().__init__()
        self.flaws = frozenset(own)
        self.stem = nn.Dense(6, 8)
        self.blocks = nn.CellList([Block(8, frozenset(first)), Block(8, frozenset(second))])
        self.shared = nn.Dense(8, 8)
        self.head = nn.Dense(8, 3)

    def construct(self, x, scale=1.0):
        if "raises" in self.flaws:
            return ops.matmul(self.stem(x), x)
        x = ops.tanh(self.stem(x) * scale)
        for block in self.blocks:
            x = self.shared(block(x))
            x = x if "no-scale" in self.flaws else x / 8**0.5
        logits = self.head(ops.stop_gradient(x) if "detached" in self.flaws else x)
        return {"logits": logits, "hidden": x + 0.5 if "offset" in self.flaws else x}


class Conv(nn.Cell):
    def __init__(self, flaws=()):
        super().__init__()
        self.flaws = flaws
        self.conv1 = nn.Conv2d(3, 6, 3, pad_mode="pad", padding=1, has_bias=True)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.SiLU()
        same = {"pad_mode": "same"} if "same" in flaws else {"pad_mode": "pad", "padding": 1}
        self.pool = nn.MaxPool2d(3, 2, **same)
        self.conv2 = nn.Conv2d(6, 4, 3, 2, pad_mode="pad", padding=1, has_bias=True)
        self.fc = nn.Dense(4, 3)

    def construct(self, x):
        x = self.act(self.norm(self.conv1(x)))
        if "flipped" in self.flaws:
            x = ops.flip(x, (3,))
        x = self.pool(x)
        x = ops.relu(self.conv2(x)) if "no-relu" not in self.flaws else self.conv2(x)
        return self.fc(x.mean((2, 3)))


class Channels(nn.Cell):
    """Conv with activations whose channels are last."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm = (
            Last(nn.Conv2d(3, 6, 3, pad_mode="pad", padding=1, has_bias=True)),
            Last(nn.BatchNorm2d(6)),
        )
        self.pool = Last(nn.MaxPool2d(3, 2, pad_mode="pad", padding=1))
        self.conv2 = Last(nn.Conv2d(6, 4, 3, 2, pad_mode="pad", padding=1, has_bias=True))
        self.fc = nn.Dense(4, 3)

    def construct(self, x):
        x = self.pool(ops.silu(self.norm(self.conv1(x.transpose(0, 2, 3, 1)))))
        return self.fc(ops.relu(self.conv2(x)).mean((1, 2)))


class Last(nn.Cell):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def construct(self, x):
        return self.layer(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)


class Recurrent(nn.Cell):
    def __init__(self, batch_first=True):
        super().__init__()
        self.embed = nn.Embedding(12, 6)
        self.gru = nn.GRU(6, 5, batch_first=batch_first)
        self.head = nn.Dense(5, 4)

    def construct(self, tokens):
        x, _ = self.gru(self.embed(tokens))
        return self.head(x[:, -1]), x
