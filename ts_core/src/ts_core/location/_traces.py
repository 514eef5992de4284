"""Two traces side by side: nothing can be run again, so the first place is all that is sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ts_core.location._arrays import furthest
from ts_core.location._difference import Difference
from ts_core.location._judging import Found, Judge, Judged, Pair
from ts_core.location._nouns import BETWEEN, LAYER, Finding, Row
from ts_core.location._pairs import likely_pairs, side_of, sure_pairs, whole_layers
from ts_core.location._runs import Run
from ts_core.location._telling import forward_finding, row
from ts_core.running import Trace

_GROWS = 50.0  # times what differed before: what an ordinary layer may make of it
_ASSUMED = 5e-5  # noise of functions such as tanh and exp, which differs that much from framework to framework


def parted(
    source: Trace, target: Trace, layers: Mapping[str, str], tolerance: tuple[float, float] | None
) -> tuple[list[Finding], list[Row]]:
    """The first place where the runs part by more than what differed before explains, and a row for each pair."""
    anchors = whole_layers(layers, source.calls)
    sides = side_of(source.calls, anchors.values()), side_of(target.calls, anchors)
    sure = sure_pairs(anchors, *sides)
    pairs = {**likely_pairs(sure, *sides, (source.shapes(), target.shapes())), **sure}
    runs = Run("source", None, source, 0), Run("target", None, target, 0)
    judge = Judge(*runs, tolerance)
    rows: list[Row] = []
    found: list[Found] = []
    level = float(np.finfo(np.float32).eps)
    judged = {b: Judged((source.calls[a], target.calls[b])) for b, a in pairs.items()}
    for number, side in _events(target, pairs):
        pair = judged[number].pair
        metrics, arrays = furthest(judge.pairs(pair, side))
        if side == "inputs":
            judged[number].inputs = metrics
        else:
            judged[number].outputs = metrics
        if metrics is None or arrays is None or found:
            continue
        differs = judge.differ([arrays]) if tolerance else metrics.rms > max(_GROWS * level, _ASSUMED)
        if differs:
            leaf = number and not any(call.parent == number for call in target.calls)
            where = LAYER if side == "outputs" and (leaf or number in sure) else BETWEEN
            judged[number].verdict = where
            found.append(_found(where, pair, metrics, arrays, side))
        else:
            level = max(level, metrics.rms)
    rows = [row(judged[number]) for number in sorted(sure)]
    return [forward_finding(each, runs, pairs) for each in found], rows


def _found(where: str, pair: Pair, metrics: Difference, arrays: tuple[np.ndarray, np.ndarray], side: str) -> Found:  # type: ignore[type-arg]
    return Found(where, pair, metrics, None, [], *arrays, output=side == "outputs" and where == BETWEEN)


def _events(target: Trace, pairs: Mapping[int, int]) -> Iterator[tuple[int, str]]:
    """Where paired calls begin and end, in the order of time."""
    begun: list[int] = []
    for call in target.calls:
        while begun and begun[-1] != call.parent:
            yield from ((n, "outputs") for n in [begun.pop()] if n in pairs)
        begun.append(call.number)
        if call.number in pairs:
            yield call.number, "inputs"
    while begun:
        yield from ((n, "outputs") for n in [begun.pop()] if n in pairs)
