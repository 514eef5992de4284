"""The backward search: from a forward pass made equal, with the source's gradients put in at every pair.

So that the gradient of each output shows what lies between it and the next pairs alone, and the gradients of a layer's
parameters show that layer alone. What is left to decide between a layer and the code beside it, the layer decides that
runs by itself, in float64 where it can.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ts_core.location._arrays import furthest, oriented, side_by_side
from ts_core.location._difference import Difference, difference
from ts_core.location._judging import rounded
from ts_core.location._nouns import BACKWARD, BETWEEN, LAYER, LOSS, Finding, Hint
from ts_core.location._relations import relation
from ts_core.location._runs import Ran, Run, product_with, within
from ts_core.running import Trace, TracedCall

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[TracedCall, TracedCall]

_UNIT = float(np.finfo(np.float32).eps)
_SUSPECT = 100 * _UNIT  # what gradients of equal values may differ by: sums as long as a batch
_BETWEEN = 2e-4  # the same of the code in between, which cannot be run by itself backwards
_TIMES = 3.0


@dataclass(slots=True)
class Found:
    """One place."""

    where: str
    pair: Pair
    metrics: Difference
    noise: Difference | None
    expected: Array
    got: Array | None
    name: str = ""  # of the parameter, where it is one
    frozen: bool = False


class Backward:
    """The search.

    Args:
        source: its run, with gradients.
        target: the run with everything put in.
        pairs: target call → source call, by number, of all pairs that agree forward.
        sure: those whose layers are judged as a whole.
        gradients: name of a parameter of the target → what its gradient should be, and is; None where there is none.
    """

    def __init__(
        self,
        source: Run,
        target: Run,
        pairs: Mapping[int, int],
        sure: Mapping[int, int],
        gradients: Mapping[str, tuple[Array, Array | None]],
        owners: Mapping[str, tuple[str, str | None, Any]],
        frozen: frozenset[str],
    ) -> None:
        self._source, self._target, self._sure = source, target, sure
        self._pairs = {b: a for b, a in pairs.items() if b}
        self._gradients, self._owners, self._frozen = gradients, owners, frozen
        self._dead: set[int] = set()
        self._bad: set[int] = set()  # calls whose own gradients are wrong
        self._judged: dict[int, Found | None] = {}
        self.found = sorted(self._search(), key=lambda each: -each.pair[1].number)

    def _search(self) -> list[Found]:
        found: list[Found] = []
        candidates = []
        for number in sorted(self._pairs, reverse=True):
            one = self._outputs(number)
            if one is not None:
                candidates.append((number, one))
                if one.got is None:
                    self._dead.add(number)
        found += self._parameters()
        around = {call.parent for call in self._target.calls}
        for number, one in candidates:
            consumers = self._consumers(number)
            if any(n in self._dead for n in consumers):
                continue
            bad = [n for n in consumers if n not in around and self._by_itself(n)]
            for each in bad:
                if each not in self._bad:
                    self._bad.add(each)
                    found.append(self._judged[each])  # type: ignore[arg-type]
            if not bad:
                found.append(dataclasses.replace(one, pair=self._innermost(number)))
        return found

    def _innermost(self, number: int) -> Pair:
        """The pair inside a container whose output it returns as it is, if there is one, else its own."""
        pair = self._pair(number)
        outputs = [slot for _, slot in pair[0].outputs]
        inner = [
            n
            for n in self._pairs
            if within(self._target.calls[n], pair[1], self._target.calls)
            and [slot for _, slot in self._pair(n)[0].outputs] == outputs
        ]
        return self._pair(max(inner)) if inner else pair

    def _pair(self, number: int) -> Pair:
        return self._source.calls[self._pairs[number]], self._target.calls[number]

    def _outputs(self, number: int) -> Found | None:
        """The gradient of an output that differs."""
        mine, theirs = self._pair(number)
        worst: Found | None = None
        places = zip([p for p, _ in mine.outputs], [p for p, _ in theirs.outputs], strict=False)
        for own, other in places:
            slot, there = mine.gradients.get(("outputs", own)), theirs.gradients.get(("outputs", other))
            if slot is None:
                continue
            expected = self._source.trace.read(slot)
            got = None if there is None else self._target.trace.read(there)
            metrics = _gap(expected, got)
            if metrics is not None and metrics.rms > _BETWEEN and (worst is None or metrics.rms > worst.metrics.rms):
                got = None if got is not None and not np.any(got) else got
                worst = Found(BETWEEN, (mine, theirs), metrics, None, expected, got)
        return worst

    def _consumers(self, number: int) -> list[int]:
        """Pairs that come next: those that take this output as it is, and those up to the next sure one."""
        call = self._target.calls[number]
        outputs = {slot for _, slot in self._pair(number)[0].outputs}
        found = []
        passed = False
        for other in sorted(n for n in self._pairs if n > number):
            theirs = self._target.calls[other]
            if within(theirs, call, self._target.calls):
                continue
            takes = any(slot in outputs for _, slot in self._pair(other)[0].inputs)
            if takes or not passed:
                found.append(other)
            passed = passed or other in self._sure
        return found

    def _by_itself(self, number: int) -> bool:
        """Whether a layer by itself makes other gradients of its inputs, of equal inputs and gradients of outputs."""
        if number not in self._judged:
            self._judged[number] = self._judge(number)
        return self._judged[number] is not None

    def _judge(self, number: int) -> Found | None:
        mine, theirs = self._pair(number)
        given = [
            oriented(a, b).astype(b.dtype)
            for a, b in side_by_side(self._source.inputs(mine), self._target.inputs(theirs))
        ]
        one = self._alone(self._source, mine, self._source.inputs(mine), self._upstream(mine))
        two = self._alone(self._target, theirs, given, self._upstream(mine))
        if two is None:
            return None
        expected = (
            self._input_gradients(mine)
            if one is None
            else [one.input_gradients[p] for p in sorted(one.input_gradients, key=str)]
        )
        got = [two.input_gradients[p] for p in sorted(two.input_gradients, key=str)]
        pairs = side_by_side(expected, got)
        metrics, arrays = furthest(pairs)
        if metrics is None or arrays is None or metrics.rms <= _SUSPECT:
            return None
        noise = self._noise(mine, theirs, given, pairs)
        if metrics.rms <= _TIMES * (noise.rms if noise else 0) or (noise is None and metrics.rms <= _BETWEEN):
            return None
        return Found(LAYER, (mine, theirs), metrics, noise, *arrays)

    def _upstream(self, mine: TracedCall) -> list[Array]:
        """The source's gradients of a call's outputs, zeros where there is none."""
        found = []
        for place, slot in mine.outputs:
            own = mine.gradients.get(("outputs", place))
            array = self._source.trace.read(own) if own is not None else np.zeros_like(self._source.trace.read(slot))
            found.append(array)
        return found

    def _input_gradients(self, mine: TracedCall) -> list[Array]:
        slots = [slot for (side, _), slot in mine.gradients.items() if side == "inputs"]
        return [self._source.trace.read(slot) for slot in slots]

    def _alone(
        self, run: Run, call: TracedCall, inputs: list[Array], upstream: list[Array], double: bool = False
    ) -> Ran | None:
        if run.net is None:
            return None
        there = [array.astype(np.float64) for array in upstream] if double else upstream
        shaped = [oriented(a, b) for a, b in side_by_side(there, run.outputs(call))]
        return run.layer(call, inputs, double=double, loss=product_with(shaped, run.trace.framework))

    def _noise(
        self, mine: TracedCall, theirs: TracedCall, given: list[Array], pairs: list[tuple[Array, Array]], name: str = ""
    ) -> Difference | None:
        """How far float32 is from float64, or from what rounding its inputs makes of it: the sum over both sides."""
        parts: list[Difference | None] = []
        upstream = self._upstream(mine)
        for i, (run, call, inputs) in enumerate(
            ((self._source, mine, self._source.inputs(mine)), (self._target, theirs, given))
        ):
            ran = self._alone(run, call, inputs, upstream, double=True)
            times = 1.0
            if ran is None and i == 1:
                rng = np.random.default_rng(0)
                moved = [rounded(array, rng) for array in inputs]
                ran = self._alone(run, call, moved, [rounded(array, rng) for array in upstream])
                times = 10 / _TIMES
            if ran is None:
                continue
            if name:
                exact = [g for path, g in ran.gradients.items() if path == name and g is not None]
            else:
                exact = [ran.input_gradients[p] for p in sorted(ran.input_gradients, key=str)]
            part = furthest(side_by_side([pair[i] for pair in pairs], exact))[0]
            if part is not None:
                parts.append(dataclasses.replace(part, rms=times * part.rms))
        known = [part for part in parts if part is not None and np.isfinite(part.rms)]
        if not known:
            return None
        return dataclasses.replace(known[0], rms=sum(part.rms for part in known))

    def _parameters(self) -> Iterator[Found]:
        """Layers that make other gradients of their parameters."""
        calls: dict[str, list[int]] = {}
        for number in self._pairs:
            calls.setdefault(self._target.calls[number].path, []).append(number)
        calls.setdefault("", [0])
        for name, (expected, got) in self._gradients.items():
            path = self._owners[name][0]
            numbers = calls.get(path)
            if not numbers or any(n in self._dead for n in numbers):
                continue
            metrics = _gap(expected, got)
            if metrics is None or metrics.rms <= _SUSPECT:
                continue
            number = min(numbers)
            pair = self._pair(number) if number else (self._source.calls[0], self._target.calls[0])
            noise = None
            if got is not None and np.any(got):
                mine, theirs = pair
                if number in self._sure and len(numbers) == 1:
                    local = name[len(path) + 1 :] if path and name.startswith(f"{path}.") else name
                    sides = side_by_side(self._source.inputs(mine), self._target.inputs(theirs))
                    given = [oriented(a, b).astype(b.dtype) for a, b in sides]
                    noise = self._noise(mine, theirs, given, [(expected, got)], local)
                if metrics.rms <= max(_TIMES * noise.rms if noise else 0.0, _SUSPECT if noise else _BETWEEN):
                    continue
            if number in self._bad:
                continue
            self._bad.add(number)
            yield Found(LAYER, pair, metrics, noise, expected, got, name, name in self._frozen)


def _gap(expected: Array, got: Array | None) -> Difference | None:
    """How far a gradient is from what it should be; None where both are none."""
    if got is None:
        got = np.zeros_like(expected)
    if not np.any(expected) and not np.any(got):
        return None
    return difference(oriented(expected, got), got)


def loss_finding(source: Trace, target: Trace) -> Finding | None:
    """The loss, of the very same output: another value, or another gradient."""
    pairs = []
    for (side, place), slot in source.calls[0].gradients.items():
        if side == "outputs":
            there = target.calls[0].gradients.get((side, place))
            expected = source.read(slot)
            pairs.append((expected, np.zeros_like(expected) if there is None else target.read(there)))
    metrics, arrays = furthest(pairs)
    values = (source.loss, target.loss)
    value = difference(np.array([values[0]]), np.array([values[1]])) if None not in values else None
    if (value is None or value.rms <= _SUSPECT) and (metrics is None or metrics.rms <= _SUSPECT):
        return None
    hints = []
    told = relation(*arrays) if arrays is not None else None
    if told is not None:
        hints.append(Hint(f"its gradient: {told}", certainty="certain"))
    if value is not None and value.rms > _SUSPECT:
        hints.append(Hint(f"of the same output it is {values[0]:.6g} in the source and {values[1]:.6g} in the target"))
    elif metrics is not None:
        hints.append(
            Hint("its value is the same and its gradient is not: a part of it is detached, or stops gradients")
        )
    return Finding(BACKWARD, LOSS, "", "loss", metrics=metrics or value, hints=tuple(hints))
