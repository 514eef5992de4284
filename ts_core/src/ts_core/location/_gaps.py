"""The code between layers, run by itself: every sure layer is answered for by the source's values.

On both sides and in float64, so that what is left of a difference is none of rounding, and what goes away is the noise.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ts_core.contract.tracing import NewInputs, mapped
from ts_core.location._arrays import furthest, side_by_side
from ts_core.location._difference import Difference
from ts_core.location._injecting import instead_of
from ts_core.location._judging import SEEDS, Arrays, Found, Judge, Judged, Pair, assumed, summed
from ts_core.location._runs import Answer, Key, Parts, Run
from ts_core.running import Slot, TracedCall

Array = np.ndarray[Any, np.dtype[Any]]
Faulty = dict[int, tuple[Difference, tuple[Array, Array]]]


class Gaps:
    """Runs of the code between, and what differs in them.

    Args:
        judge: says what differs.
        judged: the sure pairs, by the number of the target's call.
        likely: the other pairs, target call → source call.

    Attributes:
        own: sure calls of the target that stay as they are → their nested outputs.
        extra: likely calls → nested outputs that are put in.
        random: likely calls that are random: the source's values go on in their place, on both sides.
        blind: sure calls (0: the network's output) whose inputs are random, so that nothing can be said of them.
        given: likely calls → inputs that are put in.
        noise: of the inputs of sure calls; 0: of the network's output.
        parts: the last runs, of the source and of the target.
    """

    def __init__(self, judge: Judge, judged: Mapping[int, Judged], likely: Mapping[int, int]) -> None:
        self._judge, self._judged, self._likely = judge, judged, likely
        self._source, self._target = judge.source, judge.target
        self.around = {call.parent for call in self._target.calls if call.parent is not None}
        self.own: dict[int, Any] = {}
        self.extra: dict[int, Any] = {}
        self.random: set[int] = set()
        self.blind: set[int] = set()
        self.given: dict[int, NewInputs] = {}
        self.noise: dict[int, Difference | None] = {}
        self.double = False
        self.parts: tuple[Parts | None, Parts | None] = (None, None)

    def pair(self, number: int) -> Pair:
        """The calls of a pair, by the number of the target's; 0: the networks themselves."""
        if number in self._judged:
            return self._judged[number].pair
        return self._source.calls[self._likely.get(number, 0)], self._target.calls[number]

    def measure(self) -> None:
        """The first runs: in float64 where both sides can, and how far the ordinary ones are from them."""
        alive = self._source.net is not None
        if self._judge.tolerance is None:
            self.double = True
            self.parts = self._run(self._source) if alive else None, self._run(self._target)
            self.double = self.parts[1] is not None and (self.parts[0] is not None or not alive)
        if not self.double:
            self.parts = None, self._run(self._target)
        self.noise = {n: self._noise(n) if self.double else None for n in [*self._judged, 0]}

    def again(self, own: Mapping[int, Any] | None = None, seed: int | None = None) -> Parts | None:
        """The target once more, with what is put in by now, and other sure calls left as they are."""
        return self._run(self._target, own, seed)

    def _run(self, run: Run, own: Mapping[int, Any] | None = None, seed: int | None = None) -> Parts | None:
        instead: dict[Key, Answer] = {}
        replaced: dict[Key, Answer] = {}
        given: dict[Key, NewInputs] = {}
        for number, each in self._judged.items():
            call = each.pair[0 if run is self._source else 1]
            if run is self._source:
                instead[call.path, call.nth] = lambda call=call: run.trace.value(call.output)  # type: ignore[misc]
            else:
                instead[call.path, call.nth] = self._answer(number, {**self.own, **(own or {})})
        for number in self.random:
            call = self.pair(number)[0 if run is self._source else 1]
            right = functools.partial(self.right_output, number)
            instead[call.path, call.nth] = (lambda c=call: run.trace.value(c.output)) if run is self._source else right  # type: ignore[misc]
        if run is self._target:
            for number, value in self.extra.items():
                call = run.calls[number]
                (replaced if number in self.around else instead)[call.path, call.nth] = lambda value=value: value  # type: ignore[misc]
            given = {(run.calls[n].path, run.calls[n].nth): value for n, value in self.given.items()}
        return run.parts(instead, given, replaced, double=self.double, seed=seed)

    def _answer(self, number: int, own: Mapping[int, Any]) -> Answer:
        return (lambda: own[number]) if number in own else (lambda: self.right_output(number))

    def find_random(self) -> None:
        """Learn what is random on either side, from runs with other random numbers."""
        for i, run in enumerate((self._source, self._target)):
            one, two = (self._run(run, seed=seed) for seed in SEEDS)
            if one is None or two is None:
                continue

            def differ(call: TracedCall, side: str, one: Parts = one, two: Parts = two) -> bool:
                found = [getattr(parts, side)((call.path, call.nth)) for parts in (one, two)]
                return None not in found and self._judge.differ(side_by_side(*found))

            for number in self._likely:
                call = self.pair(number)[i]
                if number not in self.around and differ(call, "outputs") and not differ(call, "inputs"):
                    self.random.add(number)
            if not self.random:
                ends = [n for n in self._judged if differ(self.pair(n)[i], "inputs")]
                self.blind.update(ends, [0] if differ(self.pair(0)[i], "outputs") else [])

    def right_output(self, number: int) -> Any:
        """What a call of the target should return: the source's arrays, and its own where the source has none."""
        mine, theirs = self.pair(number)
        values = instead_of(theirs.output, mine.output, self._source.trace, self._target.trace.read)
        return _filled(theirs.output, values, self._target)

    def right_inputs(self, number: int) -> NewInputs:
        """The source's inputs of a pair, nested as the target's are."""
        mine, theirs = self.pair(number)
        given = (theirs.args, dict(theirs.kwargs)), (mine.args, dict(mine.kwargs))
        return NewInputs(*instead_of(*given, self._source.trace, self._target.trace.read))

    def _noise(self, number: int) -> Difference | None:
        parts = []
        for run, seen, call in zip((self._source, self._target), self.parts, self.pair(number), strict=True):
            side = "inputs" if number else "outputs"
            exact = None if seen is None else getattr(seen, side)((call.path, call.nth))
            if exact is not None:
                parts.append(furthest(side_by_side(getattr(run, side)(call), exact))[0])
        return summed(parts) if self._source.net is not None else assumed(parts)

    def seen(self, pair: Pair, side: str, parts: Parts | None = None) -> Arrays | None:
        """Arrays of a pair in the last runs, or in this one of the target; None when the call did not come by."""
        there = parts or self.parts[1]
        keys = [(call.path, call.nth) for call in pair]
        theirs = None if there is None else getattr(there, side)(keys[1])
        mine = getattr(self.parts[0], side)(keys[0]) if self.parts[0] else getattr(self._source, side)(pair[0])
        return None if theirs is None or mine is None else side_by_side(mine, theirs)

    def faulty(self, parts: Parts | None = None) -> Faulty:
        """Sure calls whose inputs differ by more than noise, and how far; 0 for the output of the network."""
        found: Faulty = {}
        for number in [n for n in (*self._judged, 0) if n not in self.blind]:
            side = "inputs" if number else "outputs"
            if (parts or self.parts[1]) is None:  # it cannot be run in parts: what the whole run showed
                pairs: Arrays | None = self._judge.pairs(self.pair(number), side)
            else:
                pairs = self.seen(self.pair(number), side, parts)
            if pairs and self._judge.differ(pairs, self.noise.get(number)):
                metrics, arrays = furthest(pairs)
                if metrics is not None and arrays is not None:
                    found[number] = metrics, arrays
        return found


def own_output(found: Found) -> Any:
    """The target's nested output of a layer, on the source's inputs."""
    arrays = iter([b for _, b in found.outputs])
    return mapped(found.pair[1].output, lambda _, leaf: next(arrays, None) if isinstance(leaf, Slot) else leaf)


def _filled(theirs: Any, values: Any, target: Run) -> Any:
    """Nested values with the target's own arrays where there are none."""
    flat: dict[Any, Any] = {}
    mapped(values, lambda place, leaf: flat.setdefault(place, leaf))

    def chosen(place: Any, leaf: Any) -> Any:
        if not isinstance(leaf, Slot):
            return leaf
        array = flat.get(place)
        return target.trace.read(leaf) if array is None else array

    return mapped(theirs, chosen)
