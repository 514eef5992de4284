"""Tests of gradients, and of random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

import ts_core as ts
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._promises import promise, same, slope

Array = np.ndarray[Any, np.dtype[Any]]

_STEP = 1e-2  # of differences


class GradientTests(Suite):
    """Gradients are derivatives, by name; a seed decides what is drawn."""

    def test_gradients(self) -> None:
        """`ts.gradients` answers the derivative of the loss by each trainable parameter, by name."""
        self.need("gradients", "extract_gradients")
        net, arrays = self.filled(next(iter(self.nets())).make())
        source = self.backward(net)
        answer = self.hook("extract_gradients")(source, net)
        promise(answer is not None, "extract_gradients recognises what backward returned", f"{type(source)}: None")
        found = ts.gradients(source, net)
        trainable = [p.name for p in self.parameters(net) if p.trainable and p.tied_to is None]
        text = "gradients come by name, in definition order, a tied one once, by its first name"
        promise(list(found) == trainable, text, f"{list(found)} instead of {trainable}")
        for name in trainable:
            gradient, (numeric, rounding) = found[name], self._numeric_gradient(net, arrays, name)
            promise(
                gradient is not None
                and gradient.shape == numeric.shape
                and np.allclose(gradient, numeric, rtol=0.05, atol=0.01 + rounding),
                f"the gradient of {name} is the derivative of the loss by it",
                f"{gradient} instead of {numeric}",
            )

    def _numeric_gradient(self, net: Any, arrays: dict[str, Array], name: str) -> tuple[Array, float]:
        """The slope of the loss for each element, and its rounding."""
        places = {p.name for p in self.parameters(net) if name in (p.name, p.tied_to)}
        gradient, rounding = np.zeros(arrays[name].shape), 0.0

        def loss(moved: Array) -> float:
            return self.loss(self.load(net, {**arrays, **dict.fromkeys(places, moved)}))

        for position in np.ndindex(gradient.shape):
            gradient[position], off = slope(loss, arrays[name], position, _STEP)
            rounding = max(rounding, off)
        self.load(net, arrays)
        return gradient, rounding

    def test_gradients_of_strangers(self) -> None:
        """An object that holds no gradients never yields invented ones."""
        self.need("gradients", "extract_gradients")
        promise(self.hook("extract_gradients")(object(), None) is None, "extract_gradients answers None to a stranger")

    def test_on_gradient(self) -> None:
        """The callback gets the gradient once, as a tensor, and the gradient goes on unchanged."""
        self.need("on_gradient", "on_gradient")
        on_gradient = self.hook("on_gradient")
        to_numpy = self.hook("tensor_to_numpy")
        array = self.numbers("float32", (2, 3)) + 1
        seen: list[Array] = []

        def keep(gradient: object) -> None:
            seen.append(to_numpy(gradient).copy())

        def watch(tensor: object) -> object:
            watched = on_gradient(tensor, keep)
            promise(
                watched is not None, "on_gradient recognises a tensor that is being differentiated", f"{type(tensor)}"
            )
            return watched

        returned = self.backward_through(watch, array)
        promise(len(seen) == 1, "the callback is called once", f"{len(seen)} times")
        same(seen[0], 2 * array, "the callback gets the gradient")
        same(np.asarray(returned), 2 * array, "the gradient goes on unchanged")

    def test_seed(self) -> None:
        """The same seed gives the same numbers, another one others."""
        self.need("seed", "seed")
        drawn = []
        for seed in (16, 16, 17):
            self.hook("seed")(seed, True)
            drawn.append(self.random())
        same(drawn[1], drawn[0], "the same seed gives the same numbers")
        promise(not np.array_equal(drawn[2], drawn[0]), "another seed gives other numbers")
