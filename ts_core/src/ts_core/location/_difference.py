"""How far two arrays are from each other, in numbers that can be held against noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# What rounding alone may do to a value, in units of the dtype's last place: to the whole, and to one element of it.
_WHOLE, _ELEMENT = 8.0, 32.0
_BLOCK = 1 << 17  # elements that are looked at at a time


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a target's array is from the source's.

    Attributes:
        rms: root of the mean square of the differences, relative to that of the source.
        largest: largest difference, relative to the largest value of the source.
        absolute: largest difference.
        cosine: of the angle between the two.
        shapes: of the two.
    """

    rms: float
    largest: float
    absolute: float
    cosine: float
    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def beyond(self, whole: float, element: float) -> bool:
        """Whether it is more than these, relative to the root of the mean square and to the largest value."""
        return self.rms > whole or self.largest > element

    def ratio(self, noise: Difference | None, unit: float) -> float:
        """How many times the noise it is, where that is at least what rounding does; infinite for other shapes."""
        floor = unit if noise is None else max(noise.rms, unit)
        return self.rms / floor


NOTHING = Difference(0.0, 0.0, 0.0, 1.0, ((), ()))


def difference(source: Array, target: Array) -> Difference:
    """How far the target is from the source. Places where both are NaN, or the same infinity, are equal."""
    shapes = source.shape, target.shape
    if shapes[0] != shapes[1]:
        return Difference(np.inf, np.inf, np.inf, 0.0, shapes)
    flat = source.reshape(-1), target.reshape(-1)
    dd = aa = bb = ab = absolute = top = other = 0.0
    for begin in range(0, source.size, _BLOCK):
        a, b = (_floats(array[begin : begin + _BLOCK]) for array in flat)
        with np.errstate(all="ignore"):
            d = b - a
            if not np.isfinite(d).all():
                same = (a == b) | (np.isnan(a) & np.isnan(b))
                if not (np.isfinite(d) | same).all():
                    return Difference(np.inf, np.inf, np.inf, 0.0, shapes)
                a, b, d = (np.where(same, 0, array) for array in (a, b, d))
            dd += float(np.vdot(d, d).real)
            aa += float(np.vdot(a, a).real)
            bb += float(np.vdot(b, b).real)
            ab += float(np.vdot(a, b).real)
            absolute, top, other = (
                max(most, float(np.abs(x).max())) for most, x in ((absolute, d), (top, a), (other, b))
            )
    if not dd:
        return Difference(0.0, 0.0, absolute, 1.0, shapes)
    cosine = min(ab / float(np.sqrt(aa * bb)), 1.0) if aa and bb else 0.0
    return Difference(float(np.sqrt(dd / (aa or bb))), absolute / (top or other), absolute, cosine, shapes)


def _floats(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)


def rounding(*arrays: Array) -> float:
    """The relative distance of neighbouring numbers, of the coarsest dtype; 0 where there are no fractions."""
    return max((_unit(array.dtype) for array in arrays), default=0.0)


def _unit(dtype: np.dtype[Any]) -> float:
    if dtype.kind in "biu":
        return 0.0
    if dtype.kind in "fc":
        return float(np.finfo(dtype).eps)
    import ml_dtypes

    told: Any = ml_dtypes.finfo
    return float(told(dtype).eps)


@dataclass(frozen=True, slots=True)
class Limit:
    """What differences have to be larger than.

    Attributes:
        whole: for the root of the mean square.
        element: for the largest.
    """

    whole: float
    element: float

    def passed_by(self, found: Difference) -> bool:
        """Whether a difference is larger."""
        return found.beyond(self.whole, self.element)


def by_rounding(unit: float) -> Limit:
    """What rounding alone may do to values of this precision."""
    return Limit(_WHOLE * unit, _ELEMENT * unit)


def close(source: Array, target: Array, tolerance: tuple[float, float]) -> bool:
    """Whether all are within ``atol + rtol · |source|``."""
    if source.shape != target.shape:
        return False
    return bool(np.allclose(_floats(target), _floats(source), *tolerance, equal_nan=True))
