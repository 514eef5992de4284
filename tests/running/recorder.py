"""An observer that keeps copies, and what the tests of both frameworks ask of a trace."""

import numpy as np

import ts_core as ts
from ts_core.contract.tracing import leaves, mapped


def copied(value):
    return mapped(value, lambda _, leaf: np.array(ts.to_numpy(leaf)) if hasattr(leaf, "shape") else leaf)


class Recorder:
    """Keeps every call: `answers` are by path what replaces the outputs."""

    def __init__(self, answers=None):
        self.calls, self.inputs, self.outputs, self.gradients, self.types = [], {}, {}, {}, {}
        self.answers = answers or {}

    def enter(self, call, args, kwargs):
        assert call.number == len(self.calls)
        self.calls.append(call)
        self.inputs[call.number] = copied(args), copied(dict(kwargs))

    def leave(self, call, output):
        self.outputs[call.number] = copied(output)
        self.types[call.number] = type(output).__name__
        return self.answers.get(call.path)

    def gradient(self, call, side, place, gradient):
        assert (call.number, side, place) not in self.gradients
        self.gradients[call.number, side, place] = np.array(ts.to_numpy(gradient))

    @property
    def told(self):
        return [(call.path, call.parent) for call in self.calls]


def arrays(output):
    return [ts.to_numpy(leaf) for _, leaf in leaves(output) if leaf is not None]


def difference(function, array, step=1e-2):
    """The gradient of a function of an array by differences."""
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        up, down = array.copy(), array.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (function(up) - function(down)) / (2 * step)
    return gradient
