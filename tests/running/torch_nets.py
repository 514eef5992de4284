"""Networks in torch for the tests of traces."""

from typing import NamedTuple

import torch
from torch import nn


class Pair(NamedTuple):
    first: object
    second: object


class Inner(nn.Module):
    """Takes a keyword, returns a dict with a named tuple inside."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 3)

    def forward(self, x, scale=1.0):
        y = self.dense(x) * scale
        return {"y": y, "rest": Pair(y * 2, None)}


class Net(nn.Module):
    """Nested; `shared` stands at two places and is called three times."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.shared = self.again = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.norm.eval()  # a mode of its own

    def forward(self, x, *, scale=2.0):
        found = self.inner(x, scale=scale)
        x = self.body(found["y"] + found["rest"].first + x)
        x = self.again(self.shared(x))
        x = self.norm(x)
        return {"out": self.shared(x), "skip": (x, None)}


class InPlace(nn.Module):
    """Changes the output of a layer after it was told, in a layer and outside of any."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.act(x)
        y = self.dense(x)
        y[:, 0] = 7.0
        return self.act(y)


class Failing(nn.Module):
    """Raises in a layer; `rescued` goes on without it."""

    def __init__(self, rescued=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 4))
        self.last = nn.Linear(3, 3)
        self.rescued = rescued

    def forward(self, x):
        if not self.rescued:
            return self.body(x)
        try:
            x = self.body(x)
        except RuntimeError:
            x = x * 2
        return self.last(x)


class Probed(nn.Module):
    """Saves what no layer tells of."""

    def __init__(self, save, file):
        super().__init__()
        self.dense = nn.Linear(3, 3)
        self.save, self.file = save, file

    def forward(self, x):
        y = self.dense(x)
        self.save(self.file, {"sum": x + y})
        return self.dense(y)


def loss(output):
    return (output["out"] ** 2).sum() + output["skip"][0].sum()


def total(output):
    return (output**2).sum()


Tensor = torch.Tensor
