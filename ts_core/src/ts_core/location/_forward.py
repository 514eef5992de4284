"""The forward search: which layers do something else on equal inputs, and where something in between does.

Every test is a run of the target, of one of its layers or of the code between them, on values of the source, so that it
shows one thing only. A difference that nothing downstream notices is none: a norm that has its activation inside, where
the other side has it behind, is another place for the border between two layers, not another network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ts_core.location._arrays import furthest
from ts_core.location._gaps import Faulty, Gaps, own_output
from ts_core.location._judging import Arrays, Found, Judge, Judged, Pair
from ts_core.location._nouns import BETWEEN, LAYER
from ts_core.location._runs import Run

Array = np.ndarray[Any, np.dtype[Any]]
Event = tuple[int, str]  # the number of a call of the target, and whether it begins (inputs) or ends (outputs)

_ROUNDS = 24  # faults in the code between layers that are told apart
_TRIED = 8  # layers whose consequences are looked at one by one
_ALONG = 0.9  # cosine of two differences of which one is the other, that has come along


class Forward:
    """The search, on two runs; `sure` and `likely` lead from numbers of the target's calls to those of the source's.

    Attributes:
        judged: every sure pair, by the number of the target's call.
        found: what was found, in the order of execution.
        random: paths in the target of what is random.
        blind: paths of layers before which the code in between is random.
    """

    def __init__(
        self,
        source: Run,
        target: Run,
        sure: Mapping[int, int],
        likely: Mapping[int, int],
        tolerance: tuple[float, float] | None,
    ) -> None:
        self._target = target
        self._likely = {b: a for b, a in likely.items() if b}
        self.judged = {b: Judged((source.calls[a], target.calls[b])) for b, a in sure.items()}
        self._judge = Judge(source, target, tolerance)
        self._gaps = Gaps(self._judge, self.judged, self._likely)
        self.random = self._judge.random
        self.blind: set[str] = set()
        self.found: list[Found] = []
        self._search()
        place = {event: i for i, event in enumerate(self._events())}
        self.found.sort(key=lambda f: place.get((f.pair[1].number, "outputs" if f.output else "inputs"), 1 << 60))

    @property
    def own(self) -> set[int]:
        """Sure calls of the target whose border lies elsewhere: they keep their own values."""
        return set(self._gaps.own)

    def _search(self) -> None:
        ends = self._ends_that_differ()
        layers = self._layers_that_differ()
        if not ends and not layers:
            return
        if ends:
            self._gaps.find_random()
            self.random += [self._target.calls[number].path for number in sorted(self._gaps.random)]
            self.blind = {self._target.calls[number].path for number in self._gaps.blind}
        self._gaps.measure()
        faulty = self._gaps.faulty()
        if layers:
            layers = self._with_consequences(layers, faulty)
            faulty = self._gaps.faulty()
        self.found += layers
        if faulty:
            self._between(faulty)

    def _ends_that_differ(self) -> bool:
        """Whether the inputs of any sure call differ by more than rounding, or the output of the network."""
        differ = self._judge.differ(self._judge.pairs(self._gaps.pair(0), "outputs"))
        for each in self.judged.values():
            pairs = self._judge.pairs(each.pair, "inputs")
            each.inputs = furthest(pairs)[0]
            differ = differ or self._judge.differ(pairs)
        return differ

    def _layers_that_differ(self) -> list[Found]:
        found = []
        for each in self.judged.values():
            pairs = self._judge.pairs(each.pair, "outputs")
            each.outputs = furthest(pairs)[0]
            if self._judge.differ(pairs) and (one := self._judge.layer(each.pair, each)) is not None:
                found.append(one)
        return found

    def _with_consequences(self, layers: list[Found], faulty: Faulty) -> list[Found]:
        """Those layers that the rest of the network notices; the others keep their own values from here on."""
        own = {found.pair[1].number: own_output(found) for found in layers}
        together = self._gaps.again(own)
        if together is None:
            return layers
        bad = self._gaps.faulty(together)
        kept = []
        for found in layers:
            number = found.pair[1].number
            if not bad:
                harmless = True
            elif len(layers) > _TRIED:  # by what comes next alone
                harmless = self._next(number) in faulty and self._next(number) not in bad
            else:
                alone = self._gaps.again({number: own[number]})
                now = faulty if alone is None else self._gaps.faulty(alone)
                harmless = now.keys() < faulty.keys() or (not now and not faulty)
            if harmless:
                self._gaps.own[number] = own[number]
                self.judged[number].verdict = "harmless"
            else:
                kept.append(found)
        if self._gaps.own:
            self._gaps.parts = self._gaps.parts[0], self._gaps.again()
        return kept

    def _next(self, number: int) -> int:
        """The sure call that begins next."""
        return next((n for n in sorted(self.judged) if n > number), 0)

    # In between

    def _between(self, faulty: Faulty) -> None:
        """Follow the target's events up to the first that differs, mend it there, and look again."""
        gaps = self._gaps
        if gaps.parts[1] is None:
            first = min(faulty, key=_late)
            self._keep(first, self._parted(gaps.pair(first), "inputs" if first else "outputs", *faulty[first]))
            return
        ignored: set[Event] = set()
        for _ in range(_ROUNDS):
            found = self._first(faulty, ignored)
            if found is None:
                return
            (number, side), one = found
            ignored.add((number, side))
            if number in self.judged or not number:  # nothing to mend: what a sure call returns is answered for
                faulty.pop(number)
                if not self._follows(one):
                    self._keep(number, one)
                continue
            if side == "inputs":
                gaps.given[number] = gaps.right_inputs(number)
            else:
                gaps.extra[number] = gaps.right_output(number)
            alike = self._alike(one, ignored) if one.where == LAYER else []
            for other in alike:
                gaps.extra[other.pair[1].number] = gaps.right_output(other.pair[1].number)
            before, gaps.parts = gaps.parts, (gaps.parts[0], gaps.again())
            now = {n: each for n, each in gaps.faulty().items() if (n, "inputs" if n else "outputs") not in ignored}
            if gaps.parts[1] is not None and _better(now, faulty):
                faulty = now
                if not self._follows(one):
                    self.found += [one, *alike]
                ignored.update((other.pair[1].number, "outputs") for other in alike)
            else:
                (gaps.given if side == "inputs" else gaps.extra).pop(number)
                for other in alike:
                    gaps.extra.pop(other.pair[1].number)
                gaps.parts = before
            if not faulty:
                return

    def _alike(self, one: Found, ignored: set[Event]) -> list[Found]:
        """Other layers of the same classes that do something else on equal inputs: mended together, in one run."""
        classes = [call.cls for call in one.pair]
        found = []
        for number in self._likely:
            pair = self._gaps.pair(number)
            event = number, "outputs"
            if pair == one.pair or event in ignored or [call.cls for call in pair] != classes:
                continue
            outputs, inputs = self._gaps.seen(pair, "outputs"), self._gaps.seen(pair, "inputs")
            if not outputs or inputs is None or self._judge.differ(inputs) or not self._judge.differ(outputs):
                continue
            if (other := self._judge.layer(pair)) is not None:
                found.append(other)
        return found

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

    def _first(self, faulty: Faulty, ignored: set[Event]) -> tuple[Event, Found] | None:
        """The first event that differs: a layer by itself, or where one begins or ends."""
        for number, side in self._events():
            if (number, side) in ignored:
                continue
            if number in self._gaps.random:
                continue
            pair = self._gaps.pair(number)
            if number in self.judged or not number:
                if number in faulty and side == ("inputs" if number else "outputs"):
                    return (number, side), self._parted(pair, side, *faulty[number])
                continue
            pairs = self._gaps.seen(pair, side)
            if not pairs or not self._judge.differ(pairs):
                continue
            if side == "outputs" and number not in self._gaps.around:
                inputs = self._gaps.seen(pair, "inputs")
                layer = None if inputs is None or self._judge.differ(inputs) else self._judge.layer(pair)
                if layer is not None:
                    return (number, side), layer
                ignored.add((number, side))
                continue
            metrics, arrays = furthest(pairs)
            assert metrics is not None
            assert arrays is not None
            if side == "inputs":
                pair = self._innermost(number, pairs)
            return (number, side), self._parted(pair, side, metrics, arrays)
        return None

    def _parted(self, pair: Pair, side: str, metrics: Any, arrays: tuple[Array, Array]) -> Found:
        noise = self._gaps.noise.get(pair[1].number)
        return Found(BETWEEN, pair, metrics, noise, [], *arrays, output=side == "outputs")

    def _innermost(self, number: int, pairs: Arrays) -> Pair:
        """The pair that gets the inputs of a container as they are, if there is one, else the container's own."""
        pair = self._gaps.pair(number)
        inside = next((c for c in self._target.calls if c.parent == number), None)
        if inside is None or not (inside.number in self.judged or inside.number in self._likely):
            return pair
        parts = self._gaps.parts[1]
        within = None if parts is None else parts.inputs((inside.path, inside.nth))
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


def _better(now: Faulty, before: Faulty) -> bool:
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
