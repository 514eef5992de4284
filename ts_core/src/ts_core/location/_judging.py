"""One pair of calls judged: alone, on the source's inputs, against noise that is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ts_core.location._arrays import furthest, limit_of, oriented, side_by_side
from ts_core.location._difference import NOTHING, Difference, close, difference, rounding
from ts_core.location._nouns import LAYER
from ts_core.location._runs import Run
from ts_core.running import TracedCall

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = list[tuple[Array, Array]]
Pair = tuple[TracedCall, TracedCall]

SEEDS = (101, 202)
_PERTURBED = 10.0  # times what one rounding of the inputs does: as many as happen inside a layer
_FUNCTIONS = 1.5e-5  # by how much tanh and exp differ from framework to framework, relative
_UNIT = float(np.finfo(np.float32).eps)  # what both runs have at best, also where a part is run again in float64


@dataclass(slots=True)
class Found:
    """A place where the two part, with what hints are made of.

    Attributes:
        where: ``"layer"`` or ``"between"``.
        pair: the calls, of the source and of the target.
        metrics: how far they are.
        noise: what of it is none.
        inputs: what went in, of the source, in the target's layout; empty for ``"between"``.
        expected: the source's array that differs most.
        got: the target's.
        output: whether it is an output of the pair that differs, for ``"between"``.
        outputs: all outputs of a layer, the source's and the target's.
    """

    where: str
    pair: Pair
    metrics: Difference
    noise: Difference | None
    inputs: list[Array]
    expected: Array
    got: Array
    output: bool = False
    outputs: Arrays = field(default_factory=list)


@dataclass(slots=True)
class Judged:
    """What is known of one sure pair."""

    pair: Pair
    inputs: Difference | None = None
    outputs: Difference | None = None
    noise: Difference | None = None
    verdict: str = "same"


class Judge:
    """Says of arrays and layers whether they differ by more than noise.

    Args:
        source: one side.
        target: the other.
        tolerance: a relative and an absolute one instead of noise.

    Attributes:
        random: paths in the target of layers that are random.
    """

    def __init__(self, source: Run, target: Run, tolerance: tuple[float, float] | None) -> None:
        self.source, self.target, self.tolerance = source, target, tolerance
        self.random: list[str] = []

    def pairs(self, pair: Pair, side: str) -> Arrays:
        """The arrays of two calls that are not the very same."""
        slots = [[slot for _, slot in getattr(call, side)] for call in pair]
        if slots[0] == slots[1] and self.source.shares(self.target):
            return []
        return side_by_side(getattr(self.source, side)(pair[0]), getattr(self.target, side)(pair[1]))

    def differ(self, pairs: Sequence[tuple[Array, Array]], noise: Difference | None = None) -> bool:
        """Whether any differ by more than rounding, or a noise, explains."""
        if self.tolerance is not None:
            return any(not close(oriented(a, b), b, self.tolerance) for a, b in pairs)
        unit = max(_UNIT, rounding(*(array for pair in pairs for array in pair)))
        return any(limit_of(noise, unit).passed_by(difference(oriented(a, b), b)) for a, b in pairs)

    def layer(self, pair: Pair, judged: Judged | None = None) -> Found | None:
        """What is wrong with a layer on the source's inputs, if anything; a sure one had them in the run already."""
        mine, theirs = pair
        given = self.inputs(pair)
        alone = None if judged else self.target.layer(theirs, given)
        got = self.target.outputs(theirs) if alone is None else alone.outputs
        pairs = side_by_side(self.source.outputs(mine), got)
        if not self.differ(pairs):
            return None
        may_be = theirs.training is not False or theirs.kind is None  # what is known is not random in evaluation mode
        if may_be and self._is_random(theirs, given):
            self._mark(judged, "random")
            self.random.append(theirs.path)
            return None
        noise = None if self.tolerance else self._noise(pair, given, pairs, judged is not None)
        metrics, arrays = furthest(pairs)
        if judged is not None:
            judged.outputs, judged.noise = metrics, noise
        if not self.differ(pairs, noise):
            self._mark(judged, "noise")
            return None
        self._mark(judged, LAYER)
        assert metrics is not None
        assert arrays is not None
        return Found(LAYER, pair, metrics, noise, given, *arrays, outputs=pairs)

    def inputs(self, pair: Pair) -> list[Array]:
        """The source's inputs of a call, in the target's layout and dtypes."""
        sides = side_by_side(self.source.inputs(pair[0]), self.target.inputs(pair[1]))
        return [oriented(a, b).astype(b.dtype) for a, b in sides]

    def _is_random(self, call: TracedCall, inputs: Sequence[Array]) -> bool:
        one, two = (self.target.layer(call, inputs, seed=seed) for seed in SEEDS)
        return one is not None and two is not None and self.differ(side_by_side(one.outputs, two.outputs))

    def _mark(self, judged: Judged | None, verdict: str) -> None:
        if judged is not None:
            judged.verdict = verdict

    def _noise(self, pair: Pair, given: list[Array], pairs: Arrays, sure: bool) -> Difference | None:
        """How far rounding takes the outputs from what the layers mean: the sum over both sides.

        In float64, where the framework can; else by what one rounding of the inputs does.
        """
        parts = []
        inputs = (self.source.inputs(pair[0]), given)
        for i, (run, call) in enumerate(zip((self.source, self.target), pair, strict=True)):
            exact = run.layer(call, inputs[i], double=True)
            if exact is not None:
                parts.append(furthest(side_by_side([each[i] for each in pairs], exact.outputs))[0])
            elif run is self.target:
                parts.append(self._perturbed(call, given, [b for _, b in pairs]))
        return summed(parts) if self.source.net is not None or sure else assumed(parts)

    def _perturbed(self, call: TracedCall, given: list[Array], got: list[Array]) -> Difference | None:
        rng = np.random.default_rng(0)
        moved = self.target.layer(call, [rounded(array, rng) for array in given])
        found = None if moved is None else furthest(side_by_side(got, moved.outputs))[0]
        if found is None:
            return None
        times = _PERTURBED / 3  # the limit takes noise three times
        return dataclasses.replace(found, rms=times * found.rms, largest=times * found.largest)


def summed(parts: Sequence[Difference | None]) -> Difference | None:
    """The noises of both sides together; None when none is known."""
    known = [part for part in parts if part is not None and np.isfinite(part.rms)]
    if not known:
        return None
    together = {name: sum(getattr(part, name) for part in known) for name in ("rms", "largest", "absolute")}
    return dataclasses.replace(known[0], **together)


def assumed(parts: Sequence[Difference | None]) -> Difference:
    """The noise where one side is a trace: twice that of the other, and what functions such as tanh and exp have."""
    known = summed(parts) or NOTHING
    rms, largest = max(2 * known.rms, _FUNCTIONS), max(2 * known.largest, 4 * _FUNCTIONS)
    return dataclasses.replace(known, rms=rms, largest=largest)


def rounded(array: Array, rng: np.random.Generator) -> Array:
    """Every value moved to a neighbouring one or so."""
    if array.dtype.kind not in "fV":
        return array
    unit = rounding(array)
    return (array.astype(np.float64) * (1 + unit * rng.uniform(-1, 1, array.shape))).astype(array.dtype)
