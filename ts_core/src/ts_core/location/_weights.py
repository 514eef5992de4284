"""The parameters and buffers of both sides through the weight map, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ts_core.contract.readers import LazyTensors
from ts_core.location._difference import Difference, by_rounding, difference, rounding
from ts_core.location._nouns import FORWARD, WEIGHTS, Finding, Hint
from ts_core.location._relations import relation
from ts_core.mapping import WeightMap
from ts_core.reporting import short

Array = np.ndarray[Any, np.dtype[Any]]
Owners = Mapping[str, tuple[str, str | None, Any]]


def weight_findings(
    weight_map: WeightMap, source: LazyTensors, target: LazyTensors, owners: tuple[Owners, Owners]
) -> tuple[list[Finding], dict[str, Array]]:
    """A finding for each layer of the target that holds other values than the source's through the map.

    Args:
        weight_map: from the source to the target.
        source: its tensors.
        target: its tensors.
        owners: of both, name → the path of its layer, its kind, its role there.

    Returns:
        The findings, and name in the target → what it should hold.
    """
    mapped = weight_map.apply(source)
    wrong: dict[str, list[tuple[str, str, Difference, Array, Array]]] = {}
    right: dict[str, Array] = {}
    for name in mapped:
        if name not in target:
            continue
        expected, got = mapped.read(name), target.read(name)
        if expected.shape == got.shape and expected.dtype == got.dtype and _same_bits(expected, got):
            continue
        found = difference(expected, got)
        if not by_rounding(rounding(expected, got)).passed_by(found):
            continue
        right[name] = np.array(expected)
        entry = weight_map.by_target[name]
        path = owners[1].get(name, (name.rpartition(".")[0],))[0]
        wrong.setdefault(path, []).append((entry.source[0], name, found, right[name], np.array(got)))
    findings = []
    for path, tensors in wrong.items():
        worst = max((found for _, _, found, _, _ in tensors), key=lambda each: each.rms)
        mine = owners[0].get(tensors[0][0], (tensors[0][0].rpartition(".")[0],))[0]
        hints = [hint for each in tensors for hint in _hints(*each, mapped, owners[1])]
        findings.append(
            Finding(
                FORWARD,
                WEIGHTS,
                mine,
                path,
                metrics=worst,
                hints=tuple(hints),
                tensors=tuple((a, b) for a, b, *_ in tensors),
            )
        )
    return findings, right


def _same_bits(a: Array, b: Array) -> bool:
    return (
        a.tobytes() == b.tobytes() if a.nbytes < 1 << 16 else bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    )


def _hints(
    source: str, name: str, found: Difference, expected: Array, got: Array, mapped: LazyTensors, owners: Owners
) -> list[Hint]:
    """What the values are instead."""
    hints = []
    holder = next(
        (
            other
            for other in mapped
            if other != name and mapped.info(other).shape == got.shape and _equal(mapped.read(other), got)
        ),
        None,
    )
    if holder is not None:
        hints.append(Hint(f"{name} holds what belongs into {holder}", certainty="certain"))
    if not np.any(got):
        hints.append(Hint(f"{name} is all zeros: it was never loaded", certainty="certain"))
    elif np.size(got) > 1 and np.all(got == got.flat[0]):
        hints.append(
            Hint(
                f"{name} is constant, {short(float(got.flat[0]))}, as it was made: it was never loaded",
                certainty="certain",
            )
        )
    told = relation(expected, got)
    if told is not None:
        hints.append(Hint(f"{name}: {told}", certainty="certain"))
    if not hints:
        hints.append(Hint(f"{name} has other values than {source}, by {short(found.rms)} of their size: load it again"))
    return hints


def _equal(a: Array, b: Array) -> bool:
    return not by_rounding(rounding(a, b)).passed_by(difference(a, b))
