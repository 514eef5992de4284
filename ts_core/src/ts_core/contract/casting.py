"""Casts that tell how many elements the new dtype cannot hold."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ts_core.contract.dtypes import PACKED_INT4, is_native

Array = np.ndarray[Any, np.dtype[Any]]
Dtype = np.dtype[Any]

_SHOWN = 3  # names that a warning lists before it counts the rest
_BLOCK = 1 << 18  # elements that are looked at together: what is made of them stays in the cache


def cast(array: Array, dtype: Dtype, into: Array | None = None) -> tuple[Array, int]:
    """An array in another dtype, and how many of its elements that dtype cannot hold.

    Not held is what is more than rounded: a number that becomes an infinity or NaN (overflow), an integer that wraps
    around, a fraction that an integer cuts off, an infinity or NaN that becomes a number, an imaginary part that goes.
    Too small a number becomes 0, by rounding.

    Args:
        array: any shape and layout.
        dtype: the one to have.
        into: where to put it: an array of that dtype and of the same shape.

    Returns:
        The array itself where it has the dtype and there is no `into`.
    """
    if into is None:
        if array.dtype == dtype:
            return array, 0
        into = np.empty(array.shape, dtype)
    with np.errstate(all="ignore"):
        _copy(array, into)
        return into, 0 if holds_all(array.dtype, dtype) else _count(array, into)


@functools.lru_cache(maxsize=256)
def holds_all(old: Dtype, new: Dtype) -> bool:
    """Whether a dtype holds every number of another, if need be rounded; then a cast need not be looked at."""
    if new.kind in "fc" and new.itemsize >= (8 if new.kind == "c" else 4) and (old.kind in "biu" or not is_native(old)):
        return True  # float32 has the largest integer of 64 bits, and all of what NumPy itself lacks
    # What NumPy says of dtypes that it lacks is too good: that float8 has every number of a byte.
    return is_native(old) and is_native(new) and np.can_cast(old, new, "safe")


def some_counts(changed: Mapping[str, int]) -> str:
    """In words: name → number of elements."""
    listed = [f"{name} ({count:,})" for name, count in changed.items()]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def is_castable(dtype: Dtype) -> bool:
    """Whether the elements are numbers one by one: two packed into a byte are not."""
    return dtype != PACKED_INT4


def _copy(array: Array, into: Array) -> None:
    if array.dtype.kind == "c" and into.dtype.kind != "c":
        array = array.real
    if not np.can_cast(array.dtype, into.dtype, "unsafe"):  # four bits with a sign, and without
        array = array.astype(np.int64)
    np.copyto(into, array, casting="unsafe")


def _count(before: Array, after: Array) -> int:
    if before.ndim == 0:
        return _count(before.reshape(1), after.reshape(1))
    rows = max(_BLOCK // max(before[:1].size, 1), 1)
    if rows == 1 and before.ndim > 1:
        return sum(_count(row, result) for row, result in zip(before, after, strict=True))
    blocks = ((before[i : i + rows], after[i : i + rows]) for i in range(0, len(before), rows))
    return sum(int(_lost(*block).sum()) for block in blocks if block[0].size and not _stays_finite(*block))


def _stays_finite(before: Array, after: Array) -> bool:
    """Whether the extremes of a block tell that none of its numbers overflows: a cast to floats is monotonous."""
    if before.dtype.kind == "c" or after.dtype.kind == "c" or _limits(after.dtype) is not None:
        return False
    extremes = np.array([before.min(), before.max()], before.dtype).astype(after.dtype)
    return bool(np.isfinite(extremes).all())


def _lost(before: Array, after: Array) -> Any:
    """Where elements are more than rounded."""
    if before.dtype.kind == "c":
        if after.dtype.kind == "c":
            return _lost(before.real, after.real) | _lost(before.imag, after.imag)
        return _lost(before.real, after) | (before.imag != 0)
    if after.dtype.kind == "c":
        return _lost(before, after.real)
    limits = _limits(after.dtype)
    if limits is None:
        finite = np.isfinite(after)
        if before.dtype.kind in "biu":
            return ~finite
        return (np.isfinite(before) != finite) | (np.isnan(before) != np.isnan(after))
    low, high = limits
    if (own := _limits(before.dtype)) is not None:
        if own[0] >= low and own[1] <= high:
            return np.zeros(before.shape, bool)
        wide = before if is_native(before.dtype) else before.astype(np.int64)
        least, most = np.array([max(low, own[0]), min(high, own[1])], wide.dtype)
        return (wide < least) | (wide > most)
    wide = before.astype(np.float64, copy=False)
    return ~((wide >= low) & (wide < float(high + 1)) & (np.trunc(wide) == wide))


@functools.lru_cache(maxsize=256)
def _limits(dtype: Dtype) -> tuple[int, int] | None:
    """The least and the greatest number of a dtype of integers, or of bools; None for the others."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "iu":
        found = np.iinfo(dtype)
        return int(found.min), int(found.max)
    import ml_dtypes

    try:
        small: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]  # of 4 bits, say
    except (TypeError, ValueError):
        return None
    return int(small.min), int(small.max)
