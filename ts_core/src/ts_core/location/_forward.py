"""The forward search: which layers do something else on equal inputs, and where something in between does.

Every test is a run of the target (or of one of its layers) on values of the source, so that it shows one thing only:

- a layer runs by itself on the source's inputs of it;
- the code between layers runs alone, every sure layer answered for, on both sides and in float64: what is left of a
  difference then is no rounding, and what goes away is the noise.

A difference that nothing downstream notices is none: a norm that has its activation inside, where the other side has it
behind, is another place for the border between two layers, not another network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ts_core.contract.tracing import NewInputs, mapped
from ts_core.location._arrays import beyond_rounding, furthest, limit_of, oriented, side_by_side
from ts_core.location._difference import Difference, close, difference, rounding
from ts_core.location._injecting import instead_of
from ts_core.location._nouns import BETWEEN, LAYER
from ts_core.location._runs import Key, Parts, Run
from ts_core.running import Slot, TracedCall

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[TracedCall, TracedCall]
Event = tuple[int, str]  # the number of a call of the target, and whether it begins (inputs) or ends (outputs)
Faulty = dict[int, tuple[Difference, tuple[Array, Array]]]

_ROUNDS = 16  # faults in the code between layers that are told apart
_TRIED = 8  # layers whose consequences are looked at one by one
_SEEDS = (101, 202)
_ALONG = 0.9  # cosine of two differences of which one is the other, that has come along
_PERTURBED = 10.0  # times what one rounding of the inputs does: as many as happen inside a layer


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
    """

    where: str
    pair: Pair
    metrics: Difference
    noise: Difference | None
    inputs: list[Array]
    expected: Array
    got: Array
    output: bool = False
    outputs: list[tuple[Array, Array]] = field(default_factory=list)


@dataclass(slots=True)
class Judged:
    """What is known of one sure pair."""

    pair: Pair
    inputs: Difference | None = None
    outputs: Difference | None = None
    noise: Difference | None = None
    verdict: str = "same"


class Forward:
    """The search, on two runs; `sure` and `likely` lead from numbers of the target's calls to those of the source's.

    Attributes:
        judged: every sure pair, by the number of the target's call.
        found: what was found, in the order of execution.
        random: paths in the target of what is random.
    """

    def __init__(
        self,
        source: Run,
        target: Run,
        sure: dict[int, int],
        likely: dict[int, int],
        tolerance: tuple[float, float] | None,
    ) -> None:
        self._source, self._target, self._tolerance = source, target, tolerance
        self._likely = {b: a for b, a in likely.items() if b}
        self.judged = {b: Judged((source.calls[a], target.calls[b])) for b, a in sure.items()}
        self.found: list[Found] = []
        self.random: list[str] = []
        self._own: dict[int, Any] = {}  # nested outputs of target calls that stay their own
        self._extra: dict[int, Any] = {}  # nested outputs put in at pairs that are but likely
        self._given: dict[int, NewInputs] = {}  # what likely pairs run on instead
        self._noise: dict[int, Difference | None] = {}  # of the inputs of sure calls; 0: of the network's output
        self._parts: tuple[Parts | None, Parts | None] = (None, None)
        self._root: Pair = (source.calls[0], target.calls[0])
        self._search()
        self.found.sort(key=lambda each: each.pair[1].number + (1e9 if each.output else 0))

    @property
    def own(self) -> set[int]:
        """Sure calls of the target whose border lies elsewhere: they keep their own values."""
        return set(self._own)

    # The steps

    def _search(self) -> None:
        ends = self._ends_that_differ()
        layers = self._layers_that_differ()
        if not ends and not layers:
            return
        own = {found.pair[1].number: self._nested(found) for found in layers}
        if ends or own:
            self._measure()
            faulty = self._faulty()
            if own:
                layers = self._with_consequences(layers, own, faulty)
                faulty = self._faulty()
            self.found += layers
            if faulty:
                self._between(faulty)

    def _ends_that_differ(self) -> set[int]:
        """Sure calls whose inputs differ by more than rounding; 0 for the output of the network."""
        ends = set()
        for number, each in self.judged.items():
            pairs = self._pairs(each.pair, "inputs")
            each.inputs = furthest(pairs)[0]
            if self._differ(pairs):
                ends.add(number)
        if self._differ(self._pairs(self._root, "outputs")):
            ends.add(0)
        return ends

    def _layers_that_differ(self) -> list[Found]:
        found = []
        for each in self.judged.values():
            pairs = self._pairs(each.pair, "outputs")
            each.outputs = furthest(pairs)[0]
            if self._differ(pairs) and (one := self._layer(each.pair, each)) is not None:
                found.append(one)
        return found

    def _layer(self, pair: Pair, judged: Judged | None = None) -> Found | None:
        """Judge one layer: alone, on the source's inputs, against measured noise."""
        mine, theirs = pair
        given = [
            oriented(a, b).astype(b.dtype)
            for a, b in side_by_side(self._source.inputs(mine), self._target.inputs(theirs))
        ]
        wanted = self._source.outputs(mine)
        alone = None if judged else self._target.layer(theirs, given)  # a sure one had them in the run already
        got = alone.outputs if alone is not None else self._target.outputs(theirs)
        pairs = side_by_side(wanted, got)
        if not self._differ(pairs):
            return None
        if self._is_random(theirs, given):
            self._mark(judged, "random")
            self.random.append(theirs.path)
            return None
        noise = self._noise_of(mine, theirs, given, pairs)
        if judged is not None:
            judged.outputs, judged.noise = furthest(pairs)[0], noise
        if self._tolerance is None and not beyond_rounding(pairs, noise):
            self._mark(judged, "noise")
            return None
        self._mark(judged, LAYER)
        metrics, arrays = furthest(pairs)
        assert metrics is not None and arrays is not None
        return Found(LAYER, pair, metrics, noise, given, *arrays, outputs=pairs)

    def _is_random(self, call: TracedCall, inputs: Sequence[Array]) -> bool:
        runs = [self._target.layer(call, inputs, seed=seed) for seed in _SEEDS]
        return all(runs) and beyond_rounding(side_by_side(runs[0].outputs, runs[1].outputs))  # type: ignore[union-attr]

    def _mark(self, judged: Judged | None, verdict: str) -> None:
        if judged is not None:
            judged.verdict = verdict

    def _noise_of(
        self, mine: TracedCall, theirs: TracedCall, given: list[Array], pairs: list[tuple[Array, Array]]
    ) -> Difference | None:
        """How far rounding takes the outputs of a layer from what it means: the sum over both sides."""
        doubles = [
            self._source.layer(mine, self._source.inputs(mine), double=True),
            self._target.layer(theirs, given, double=True),
        ]
        parts = []
        for i, (ran, side) in enumerate(zip(doubles, ("source", "target"), strict=True)):
            if ran is not None:
                exact = side_by_side([pair[i] for pair in pairs], ran.outputs)
                parts.append(furthest(exact)[0])
            elif side == "target":
                parts.append(self._perturbed(theirs, given, pairs))
        return _sum(parts)

    def _perturbed(self, call: TracedCall, given: list[Array], pairs: list[tuple[Array, Array]]) -> Difference | None:
        """How far one rounding of the inputs moves the outputs, times some."""
        rng = np.random.default_rng(0)
        moved = self._target.layer(call, [_rounded(array, rng) for array in given])
        if moved is None:
            return None
        found = furthest(side_by_side([b for _, b in pairs], moved.outputs))[0]
        if found is None:
            return None
        return dataclasses.replace(found, rms=_PERTURBED * found.rms / 3, largest=_PERTURBED * found.largest / 3)

    # Runs of the code between layers

    def _run(self, run: Run, double: bool, own: dict[int, Any] | None = None, seed: int | None = None) -> Parts | None:
        """One side with every sure layer answered for by the source's values, or (`own`) by the target's own."""
        instead: dict[Key, Any] = {}
        replaced: dict[Key, Any] = {}
        for number, each in self.judged.items():
            mine, theirs = each.pair
            if run is self._source:
                instead[mine.path, mine.nth] = self._source.trace.value(mine.output)
            else:
                instead[theirs.path, theirs.nth] = self._answer(number, each.pair, {**self._own, **(own or {})})
        given: dict[Key, NewInputs] = {}
        if run is self._target:
            for number, value in self._extra.items():
                call = run.calls[number]
                (replaced if number in self._around else instead)[call.path, call.nth] = value
            given = {(run.calls[n].path, run.calls[n].nth): value for n, value in self._given.items()}
        return run.parts(instead, given, replaced, double=double, seed=seed)

    def _new_inputs(self, number: int) -> NewInputs:
        """The source's inputs of a likely pair, nested as the target's are."""
        mine, theirs = self._pair(number)
        given = (theirs.args, dict(theirs.kwargs)), (mine.args, dict(mine.kwargs))
        return NewInputs(*instead_of(*given, self._source.trace, self._target.trace.read))

    @property
    def _around(self) -> set[int]:
        """Calls inside which others happen."""
        return {call.parent for call in self._target.calls if call.parent is not None}

    def _answer(self, number: int, pair: Pair, own: dict[int, Any]) -> Any:
        """What a call of the target is to return: the source's arrays, and its own where the source has none."""
        if number in own:
            return own[number]
        mine, theirs = pair
        values = instead_of(theirs.output, mine.output, self._source.trace, self._target.trace.read)
        return _filled(theirs.output, values, self._target)

    def _nested(self, found: Found) -> Any:
        """The target's own output of a layer, on the source's inputs."""
        arrays = iter([b for _, b in found.outputs])
        return mapped(found.pair[1].output, lambda _, leaf: next(arrays, None) if isinstance(leaf, Slot) else leaf)

    def _measure(self) -> None:
        """The code between layers in float64 on both sides, and how far float32 is from it."""
        double = self._tolerance is None
        parts = (self._run(self._source, True), self._run(self._target, True)) if double else (None, None)
        self._doubled = all(parts)
        if not self._doubled:
            parts = None, self._run(self._target, False)
        self._parts = parts
        for number in [*self.judged, 0]:
            self._noise[number] = self._gap_noise(number) if self._doubled else None

    def _gap_noise(self, number: int) -> Difference | None:
        pair = self._pair(number)
        side = "inputs" if number else "outputs"
        parts = []
        for run, seen, call in zip((self._source, self._target), self._parts, pair, strict=True):
            assert seen is not None
            exact = getattr(seen, side)((call.path, call.nth))
            if exact is not None:
                parts.append(furthest(side_by_side(getattr(run, side)(call), exact))[0])
        return _sum(parts)

    def _pair(self, number: int) -> Pair:
        if not number:
            return self._root
        if number in self.judged:
            return self.judged[number].pair
        return self._source.calls[self._likely[number]], self._target.calls[number]

    def _seen(self, pair: Pair, side: str, parts: Parts | None = None) -> list[tuple[Array, Array]] | None:
        """Arrays of a pair in the last runs of the code between; None when the target's call did not come by."""
        keys = [(call.path, call.nth) for call in pair]
        theirs = getattr(parts or self._parts[1], side)(keys[1]) if (parts or self._parts[1]) else None
        mine = getattr(self._parts[0], side)(keys[0]) if self._parts[0] else getattr(self._source, side)(pair[0])
        return None if theirs is None or mine is None else side_by_side(mine, theirs)

    def _faulty(self, parts: Parts | None = None) -> Faulty:
        """Sure calls whose inputs differ by more than noise, and how far; 0 for the output of the network."""
        if (parts or self._parts[1]) is None:  # it cannot be run in parts: what the whole run showed
            ends = [n for n, each in self.judged.items() if self._differ(self._pairs(each.pair, "inputs"))]
            ends += [0] if self._differ(self._pairs(self._root, "outputs")) else []
            found = {n: furthest(self._pairs(self._pair(n), "inputs" if n else "outputs")) for n in ends}
            return {n: (d, arrays) for n, (d, arrays) in found.items() if d is not None and arrays is not None}
        faulty = {}
        for number in [*self.judged, 0]:
            pairs = self._seen(self._pair(number), "inputs" if number else "outputs", parts)
            if pairs is not None and self._differ(pairs, self._noise[number]):
                metrics, arrays = furthest(pairs)
                assert metrics is not None and arrays is not None
                faulty[number] = metrics, arrays
        return faulty

    def _with_consequences(self, layers: list[Found], own: dict[int, Any], faulty: dict[int, Any]) -> list[Found]:
        """Those layers that the rest of the network notices; the others keep their own values from here on."""
        together = self._run(self._target, self._doubled, own)
        if together is None:
            return layers
        bad = self._faulty(together)
        if not bad:
            self._settle(layers, own, together)
            return []
        kept = []
        for found in layers:
            number = found.pair[1].number
            if len(layers) > _TRIED:
                harmless = not any(n >= number for n in list(bad)[: len(bad)] if n == self._next(number))
                harmless = harmless and self._next(number) in faulty
            else:
                alone = self._run(self._target, self._doubled, {number: own[number]})
                now = faulty if alone is None else self._faulty(alone)
                harmless = now.keys() < faulty.keys() or (not now and not faulty)
            if harmless:
                self._own[number] = own[number]
                self.judged[number].verdict = "harmless"
            else:
                kept.append(found)
        if self._own:
            self._parts = self._parts[0], self._run(self._target, self._doubled)
        return kept

    def _settle(self, layers: list[Found], own: dict[int, Any], parts: Parts) -> None:
        for found in layers:
            self.judged[found.pair[1].number].verdict = "harmless"
        self._own.update(own)
        self._parts = self._parts[0], parts

    def _next(self, number: int) -> int:
        """The sure call that begins next."""
        return next((n for n in sorted(self.judged) if n > number), 0)

    # In between

    def _between(self, faulty: Faulty) -> None:
        """Follow the target's events up to the first that differs, mend it there, and look again."""
        if self._parts[1] is None:
            first = min(faulty, key=_late)
            self._note(first, "inputs" if first else "outputs", *faulty[first])
            return
        if self._random_between(faulty):
            return
        ignored: set[Event] = set()
        for _ in range(_ROUNDS):
            found = self._first(faulty, ignored)
            if found is None:
                return
            (number, side), one = found
            ignored.add((number, side))
            if number in self.judged or not number:
                faulty.pop(number)
                if not self._follows(one):
                    self._keep(number, one)
                continue
            if side == "inputs":
                self._given[number] = self._new_inputs(number)
            else:
                self._extra[number] = self._answer(number, self._pair(number), {})
            before, self._parts = self._parts, (self._parts[0], self._run(self._target, self._doubled))
            now = {n: each for n, each in self._faulty().items() if (n, "inputs" if n else "outputs") not in ignored}
            if self._parts[1] is not None and _better(now, faulty):
                faulty = now
                if not self._follows(one):
                    self.found.append(one)
            else:
                (self._given if side == "inputs" else self._extra).pop(number)
                self._parts = before
            if not faulty:
                return

    def _keep(self, number: int, one: Found) -> None:
        self.found.append(one)
        if number in self.judged:
            self.judged[number].verdict = BETWEEN

    def _follows(self, one: Found) -> bool:
        """Whether it is the difference of an earlier finding that has come along: added on, or the very same."""
        if one.where == LAYER:
            return False
        delta = _delta(one)
        for other in self.found:
            before = _delta(other)
            if before is not None and delta is not None and before.shape == delta.shape:
                size = float(np.linalg.norm(before) * np.linalg.norm(delta))
                if size and abs(float(np.vdot(before, delta))) / size > _ALONG:
                    return True
        return False

    def _note(self, number: int, side: str, metrics: Difference, arrays: tuple[Array, Array]) -> None:
        noise = self._noise.get(number)
        self._keep(number, Found(BETWEEN, self._pair(number), metrics, noise, [], *arrays, output=side == "outputs"))

    def _first(self, faulty: Faulty, ignored: set[Event]) -> tuple[Event, Found] | None:
        """The first event that differs, up to the first faulty end: a layer by itself, or where one begins or ends."""
        for number, side in self._events():
            if (number, side) in ignored:
                continue
            pair = self._pair(number)
            if number in self.judged or not number:
                if number not in faulty or side != ("inputs" if number else "outputs"):
                    continue
                metrics, arrays = faulty[number]
            else:
                pairs = self._seen(pair, side)
                if not pairs or not self._differ(pairs):
                    continue
                if side == "outputs" and number not in self._around:
                    inputs = self._seen(pair, "inputs")
                    layer = None if inputs is None or self._differ(inputs) else self._layer(pair)
                    if layer is not None:
                        return (number, side), layer
                    ignored.add((number, side))
                    continue
                found = furthest(pairs)
                assert found[0] is not None and found[1] is not None
                metrics, arrays = found
                if side == "inputs":
                    pair = self._innermost(number, pairs)
            noise = self._noise.get(number)
            return (number, side), Found(BETWEEN, pair, metrics, noise, [], *arrays, output=side == "outputs")
        return None

    def _innermost(self, number: int, pairs: list[tuple[Array, Array]]) -> Pair:
        """The pair that gets the inputs of a container as they are, if there is one, else the container's own."""
        pair = self._pair(number)
        inside = next((c for c in self._target.calls if c.parent == number), None)
        if inside is None or not (inside.number in self.judged or inside.number in self._likely):
            return pair
        within = self._parts[1].inputs((inside.path, inside.nth)) if self._parts[1] else None
        if within and any(b.shape == got.shape and np.array_equal(b, got) for _, b in pairs for got in within):
            return self._innermost(inside.number, pairs)
        return pair

    def _events(self) -> Iterator[Event]:
        """Where calls of the target begin and end, in the order of time; the network's own end is the last."""
        begun: list[int] = []
        for call in self._target.calls:
            while begun and begun[-1] != call.parent:
                yield from self._event(begun.pop(), "outputs")
            begun.append(call.number)
            yield from self._event(call.number, "inputs")
        while begun:
            yield from self._event(begun.pop(), "outputs")

    def _event(self, number: int, side: str) -> Iterator[Event]:
        if number in self._likely or number in self.judged or (not number and side == "outputs"):
            yield number, side

    def _random_between(self, faulty: Faulty) -> bool:
        """Whether the code between layers is random by itself; then it says so and nothing else."""
        runs = [self._run(self._target, self._doubled, seed=seed) for seed in _SEEDS]
        if not all(runs):
            return False
        for number in sorted(self._likely):
            call = self._target.calls[number]
            key = call.path, call.nth
            got = [run.outputs(key) for run in runs if run is not None]
            ins = [run.inputs(key) for run in runs if run is not None]
            if got[0] is None or got[1] is None or ins[0] is None or ins[1] is None:
                continue
            if beyond_rounding(side_by_side(*got)) and not beyond_rounding(side_by_side(*ins)):
                self.random.append(call.path)
                self._extra[number] = self._answer(number, self._pair(number), {})
        if self.random:
            self._parts = self._parts[0], self._run(self._target, self._doubled)
            faulty.clear()
            faulty.update(self._faulty())
            return not faulty
        return False

    # Small things

    def _pairs(self, pair: Pair, side: str) -> list[tuple[Array, Array]]:
        slots = [getattr(call, side) for call in pair]
        if [slot for _, slot in slots[0]] == [slot for _, slot in slots[1]]:
            return []  # the very same arrays
        return side_by_side(getattr(self._source, side)(pair[0]), getattr(self._target, side)(pair[1]))

    def _differ(self, pairs: Sequence[tuple[Array, Array]], noise: Difference | None = None) -> bool:
        if self._tolerance is not None:
            return any(not close(oriented(a, b), b, self._tolerance) for a, b in pairs)
        unit = max(self._unit, rounding(*(array for pair in pairs for array in pair)))
        return any(limit_of(a, b, noise, unit).passed_by(difference(oriented(a, b), b)) for a, b in pairs)

    @property
    def _unit(self) -> float:
        """The precision that both runs have, also where a part of them is run in a finer one."""
        return float(np.finfo(np.float32).eps)


def _filled(theirs: Any, values: Any, target: Run) -> Any:
    """Nested values with the target's own arrays where there are none."""
    given: list[Any] = []
    mapped(theirs, lambda place, leaf: given.append((place, leaf)))
    flat: dict[Any, Any] = {}
    mapped(values, lambda place, leaf: flat.setdefault(place, leaf))

    def chosen(place: Any, leaf: Any) -> Any:
        if not isinstance(leaf, Slot):
            return leaf
        array = flat.get(place)
        return target.trace.read(leaf) if array is None else array

    return mapped(theirs, chosen)


def _better(now: dict[int, Any], before: dict[int, Any]) -> bool:
    """Whether what differed first differs no more, or clearly less."""
    first = min(before, key=_late)
    return first not in now or now[first][0].rms < before[first][0].rms / 2


def _late(number: int) -> int:
    """The network's own end is the last."""
    return number or 1 << 60


def _delta(found: Found) -> Array | None:
    if found.expected.shape != found.got.shape:
        return None
    with np.errstate(all="ignore"):
        return np.nan_to_num(np.asarray(found.got, np.float64) - np.asarray(found.expected, np.float64)).reshape(-1)


def _sum(parts: Sequence[Difference | None]) -> Difference | None:
    known = [part for part in parts if part is not None and np.isfinite(part.rms)]
    if not known:
        return None
    return dataclasses.replace(
        known[0],
        rms=sum(p.rms for p in known),
        largest=sum(p.largest for p in known),
        absolute=sum(p.absolute for p in known),
    )


def _rounded(array: Array, rng: np.random.Generator) -> Array:
    """Every value moved to a neighbouring one or so."""
    if array.dtype.kind not in "fV":
        return array
    unit = rounding(array)
    return (array.astype(np.float64) * (1 + unit * rng.uniform(-1, 1, array.shape))).astype(array.dtype)
