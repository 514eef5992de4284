"""The same networks in MindSpore."""

from typing import NamedTuple

import mindspore
from mindspore import nn, ops


class Pair(NamedTuple):
    first: object
    second: object


class Inner(nn.Cell):
    """Takes a keyword, returns a dict with a named tuple inside."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3, 3)

    def construct(self, x, scale=1.0):
        y = self.dense(x) * scale
        return {"y": y, "rest": Pair(y * 2, None)}


class Net(nn.Cell):
    """Nested; `shared` stands at two places and is called three times."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.body = nn.SequentialCell(nn.Dense(3, 3), nn.Tanh())
        self.shared = self.again = nn.Dense(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.set_train()
        self.norm.set_train(False)  # a mode of its own

    def construct(self, x, *, scale=2.0):
        found = self.inner(x, scale=scale)
        x = self.body(found["y"] + found["rest"].first + x)
        x = self.again(self.shared(x))
        x = self.norm(x)
        return {"out": self.shared(x), "skip": (x, None)}


class InPlace(nn.Cell):
    """Changes the output of a layer after it was told."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3, 3)
        self.act = nn.ReLU()

    def construct(self, x):
        x = self.act(x)
        y = self.dense(x)
        y[:, 0] = 7.0
        return self.act(y)


class Failing(nn.Cell):
    """Raises in a layer; `rescued` goes on without it."""

    def __init__(self, rescued=False):
        super().__init__()
        self.body = nn.SequentialCell(nn.Dense(3, 3), nn.Dense(4, 4))
        self.last = nn.Dense(3, 3)
        self.rescued = rescued

    def construct(self, x):
        if not self.rescued:
            return self.body(x)
        try:
            x = self.body(x)
        except (ValueError, RuntimeError):
            x = x * 2
        return self.last(x)


class Probed(nn.Cell):
    """Saves what no layer tells of."""

    def __init__(self, save, file):
        super().__init__()
        self.dense = nn.Dense(3, 3)
        self.save, self.file = save, file

    def construct(self, x):
        y = self.dense(x)
        self.save(self.file, {"sum": x + y})
        return self.dense(y)


class Compiled(nn.Cell):
    """Is compiled where it is called."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3, 3)

    @mindspore.jit
    def construct(self, x):
        return self.helper(self.dense(x))

    @mindspore.jit
    def helper(self, x):
        return self.dense(x) * 2


class OwnBackward(nn.Cell):
    """Says itself what its gradient is, and returns a tuple."""

    def construct(self, x):
        return x * 2, x

    def bprop(self, x, out, dout):
        return (dout[0] * 3 + dout[1],)


class WithOwnBackward(nn.Cell):
    """Has two calls of one such cell."""

    def __init__(self):
        super().__init__()
        self.own = OwnBackward()

    def construct(self, x):
        return self.own(self.own(x)[0])[0]


def loss(output):
    return ops.square(output["out"]).sum() + output["skip"][0].sum()


def total(output):
    return ops.square(output).sum()
