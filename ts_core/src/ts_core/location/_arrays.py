"""The arrays of two calls side by side: which belongs to which, and in which layout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np

from ts_core.location._difference import Difference, Limit, by_rounding, difference

Array = np.ndarray[Any, np.dtype[Any]]
_AXES = 5  # beyond these nobody permutes


def side_by_side(source: Sequence[Array], target: Sequence[Array]) -> list[tuple[Array, Array]]:
    """Arrays that belong together: by order where there are as many, else those of equal sizes in order."""
    if len(source) == len(target):
        sizes = [[array.size for array in arrays] for arrays in (source, target)]
        if sizes[0] == sizes[1] or sorted(sizes[0]) != sorted(sizes[1]):
            return list(zip(source, target, strict=True))
    rest, pairs = list(target), []
    for array in source:
        partner = next((i for i, other in enumerate(rest) if _fits(array, other)), None)
        if partner is not None:
            pairs.append((array, rest.pop(partner)))
    return pairs


def _fits(a: Array, b: Array) -> bool:
    kinds = {a.dtype.kind, b.dtype.kind}
    return sorted(a.shape) == sorted(b.shape) and (len(kinds) == 1 or kinds <= set("iub") or kinds <= set("fV"))


def oriented(source: Array, target: Array) -> Array:
    """The source's array in the target's layout: with its axes permuted, or the same numbers in another shape."""
    if source.shape == target.shape or source.size != target.size or source.ndim > _AXES:
        return source
    moved = [source.transpose(order) for order in permutations(range(source.ndim))]
    found = [array for array in moved if array.shape == target.shape]
    if not found:
        found = [array.reshape(target.shape) for array in moved]
    return min(found, key=lambda array: difference(array, target).rms)


def furthest(
    pairs: Sequence[tuple[Array, Array]],
) -> tuple[Difference | None, tuple[Array, Array] | None]:
    """The largest difference among arrays in one layout, and the two arrays that have it."""
    best: tuple[Difference | None, tuple[Array, Array] | None] = None, None
    for a, b in pairs:
        a = oriented(a, b)
        found = difference(a, b)
        if best[0] is None or found.rms > best[0].rms:
            best = found, (a, b)
    return best


def limit_of(noise: Difference | None, unit: float) -> Limit:
    """What a difference has to be larger than: rounding, and three times a measured noise."""
    limit = by_rounding(unit)
    if noise is None:
        return limit
    return Limit(max(limit.whole, 3 * noise.rms), max(limit.element, 3 * noise.largest))
