"""Differences of integers that float64 cannot tell from their neighbours: beyond 2**53 it needs a second float64.

A number is the sum of two: the nearest float64, and what that leaves out (T. J. Dekker, A floating-point technique for
extending the available precision, 1971). So any two integers of 64 bits, signed or not, and an integer and a floating
number, have a difference without rounding, at the speed of NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ts_core.contract.arrays import Array

_EXACT = 2.0**53  # below it, every integer is a float64 of its own


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether elements of a dtype may be integers that are no float64."""
    return dtype.kind in "iu" and dtype.itemsize > 4


def fits(rounded: Array) -> bool:
    """Whether integers were not rounded when they became these float64: they are small enough."""
    return not rounded.size or bool(rounded.min() > -_EXACT and rounded.max() < _EXACT)


def difference(x: Array, y: Array) -> tuple[Array, Array]:
    """``|x - y|`` of two vectors: the nearest floating number, and what that leaves out (0 where x or y is not finite).

    Args:
        x: integers, bools, or floating or complex numbers of any width.
        y: as many of these.
    """
    if x.dtype == y.dtype and x.dtype.kind in "iu" and np.array_equal(x, y):  # as most are, and far sooner told
        return np.zeros(x.shape), np.zeros(x.shape)
    (x_high, x_low), (y_high, y_low) = _parts(x.real), _parts(y.real)
    high, low = _sum(x_high, -y_high)
    high, low = _sum(high, low + (x_low - y_low))
    sign = np.where(high < 0, -1.0, 1.0)
    high, low = sign * high, sign * low
    if "c" in (x.dtype.kind, y.dtype.kind):
        across = x.imag.astype(np.float64) - y.imag
        high, low = np.where(across == 0, high, np.hypot(high, across)), np.where(across == 0, low, 0)
    finite = np.isfinite(x) & np.isfinite(y)
    return np.where(finite, high, np.abs(x_high - y_high)), np.where(finite, low, 0)


def _parts(x: Array) -> tuple[Array, Array]:
    """A vector as the sum of two of floating numbers."""
    if not is_wide(x.dtype):
        high = x.astype(np.result_type(x, np.float64))
        return high, np.zeros_like(high)
    return _sum((x >> 32).astype(np.float64) * 2.0**32, (x & 0xFFFFFFFF).astype(np.float64))


def _sum(x: Array, y: Array) -> tuple[Array, Array]:
    """The sum of two vectors: the nearest floating numbers, and what these leave out (D. E. Knuth, TAOCP 2, 4.2.2)."""
    total: Array = x + y
    part: Array = total - x
    return total, (x - (total - part)) + (y - part)


def first_largest(high: Array, low: Array, position: int) -> tuple[int, float]:
    """Of the numbers that are as large as the one at this position, the first of the largest, as exact as can be."""
    alike = np.flatnonzero(high == high[position])
    if alike.size:
        position = int(alike[np.argmax(low[alike])])
    whole, rest = float(high[position]), float(low[position])
    return position, int(whole) + int(rest) if rest else whole
