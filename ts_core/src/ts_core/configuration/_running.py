"""What running both networks tells of their settings: the order of layers, sizes, and what moves the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ts_core.contract.arrays import Array
from ts_core.contract.tracing import Call, Inputs, Place, leaves
from ts_core.frameworks import to_numpy
from ts_core.mapping import LayerPair, WeightMap, holding, match_sources
from ts_core.running import observe
from ts_core.sources import NetworkTensors

Shape = tuple[int, ...]
_NOISE = 1e-5  # relative to the largest output


class Ran(NamedTuple):
    """What a run of both told.

    Attributes:
        orders: the paths of the layers as they ran first, of the source and of the target.
        shapes: path of a layer of the source → the shape of its first input.
    """

    orders: tuple[list[str], list[str]]
    shapes: dict[str, Shape]


def ran(source: object, target: object, inputs: Inputs) -> Ran:
    """Run both networks in evaluation mode."""
    ours, theirs = _Order(), _Order()
    observe(source, inputs, ours)
    observe(target, inputs, theirs)
    return Ran((list(ours.shapes), list(theirs.shapes)), {path: shape for path, shape in ours.shapes.items() if shape})


def moved(
    source: object, target: object, inputs: Inputs, weight_map: WeightMap | None, suspects: Sequence[LayerPair]
) -> dict[str, float]:
    """How far the output of each suspect is from its partner's, on equal inputs, relative to the largest output.

    The target has the source's weights for the time of the run, and behind each suspect it goes on with the source's
    numbers, so that none is taken for the fault of another.

    Returns:
        Path of the target's layer → distance; 0.0 where it is within noise, or no more than its inputs are apart.
    """
    if not suspects:
        return {}
    kept = _Keeping({pair.source for pair in suspects})
    observe(source, inputs, kept)
    with NetworkTensors(source) as ours, NetworkTensors(target) as theirs:
        found = weight_map
        if found is None and ours.index and theirs.index:
            found = match_sources(ours, theirs)
        with holding(found, ours, theirs) if found is not None else nullcontext():
            beside = _Beside({pair.target: kept.calls[pair.source] for pair in suspects if pair.source in kept.calls})
            observe(target, inputs, beside)
    return beside.distances


class _Order:
    """Notes the paths of the layers that are called, and the shape of the first input of each."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape | None] = {}

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if call.layer is not None and call.path not in self.shapes:
            shapes = (tuple(leaf.shape) for _, leaf in leaves((args, dict(kwargs))) if hasattr(leaf, "shape"))
            self.shapes[call.path] = next(shapes, None)

    def leave(self, call: Call, output: object) -> object | None:
        """What a layer returns is of no interest."""
        return None

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> None:
        """There is no backward pass."""


class _Keeping(_Order):
    """Keeps inputs and outputs of the first call of some layers."""

    def __init__(self, paths: set[str]) -> None:
        super().__init__()
        self._paths = paths
        self._open: dict[int, list[Array]] = {}
        self.calls: dict[str, tuple[list[Array], list[Array]]] = {}

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if call.layer is not None and call.path in self._paths and call.path not in self.calls:
            self._open[call.number] = _arrays((args, dict(kwargs)))

    def leave(self, call: Call, output: object) -> object | None:
        if call.number in self._open:
            self.calls[call.path] = self._open.pop(call.number), _arrays(output)
        return None


class _Beside(_Keeping):
    """Compares the first call of some layers with one that was kept, and goes on with the output that was kept."""

    def __init__(self, kept: dict[str, tuple[list[Array], list[Array]]]) -> None:
        super().__init__(set(kept))
        self._kept = kept
        self.distances: dict[str, float] = {}

    def leave(self, call: Call, output: object) -> object | None:
        if call.number not in self._open:
            return None
        given, got = self._open.pop(call.number), _arrays(output)
        wanted, expected = self._kept[call.path]
        self.calls[call.path] = given, got
        apart, before = _distance(got, expected), _distance(given, wanted)
        self.distances[call.path] = apart if apart > max(_NOISE, 10 * before) else 0.0
        alike = len(got) == len(expected) == 1 and got[0].shape == expected[0].shape
        return expected[0] if alike and hasattr(output, "shape") else None


def _arrays(value: object) -> list[Array]:
    return [np.array(to_numpy(leaf)) for _, leaf in leaves(value) if hasattr(leaf, "shape")]


def _distance(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """The largest difference ÷ the largest number; infinite where shapes differ."""
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        return float("inf")
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a.size and a.dtype.kind == "f":
            worst = max(worst, float(np.abs(a - b).max()) / (float(np.abs(b).max()) or 1.0))
    return worst
