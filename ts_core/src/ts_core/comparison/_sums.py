"""What adds up over the parts of a pair of arrays, and the numbers that a user sees of it.

The fields of :class:`Metrics` are the one table of metrics. A field's entry says how the sums give the number, and how
a report shows it; their order is that of records and JSON. Nothing else knows what metrics there are, except the walk
over the blocks, which fills the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ts_core.reporting import enough, percentage, short, truncated

Scalar = bool | int | float | complex
Index = tuple[int, ...]
Dtype = np.dtype[Any]

_NO_DIRECTION = float(np.finfo(np.float32).tiny) ** 2  # squared norm below which a vector counts as zero
_LAST = 99


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When two elements are close: ``|original - target| <= atol + rtol * |target|``, as in ``numpy.isclose``.

    Attributes:
        rtol: relative to the target.
        atol: absolute.
        equal_nan: whether two NaN are equal.
    """

    rtol: float = 1e-4
    atol: float = 1e-4
    equal_nan: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """The entry of a metric.

    Attributes:
        of: the sums, and the dtype in which elements were compared → the number; by default the sum of the same name.
        title: of its column; empty when no table shows it.
        shown: the number, and those of `others` → the words in that column.
        others: further metrics that the column tells.
        place: of the column among the others.
        wide: whether the column is left out of tables of usual width.
    """

    of: Callable[[Sums, Dtype], Any] | None = None
    title: str = ""
    shown: Callable[..., str] = str
    others: tuple[str, ...] = ()
    place: int = _LAST
    wide: bool = True


def _metric(of: Callable[[Sums, Dtype], Any] | None = None, *shown: Any, **options: Any) -> Any:
    """A field of :class:`Metrics`."""
    return field(metadata={"metric": Metric(of, *shown, **options)})


def scalar(value: Scalar | None) -> str:
    """An element of an array in words."""
    return f"{value:.6g}" if isinstance(value, float | complex) else str(value)


def _index(index: Index | None) -> str:
    return "" if index is None else str(index)


def _elements(original: Scalar | None, target: Scalar | None) -> str:
    return "" if original is None else f"{scalar(original)}, {scalar(target)}"


@dataclass(frozen=True, slots=True)
class Metrics:
    """How two arrays of one shape differ; Δ is original - target.

    Attributes:
        size: the number of elements.
        close: how many are close, counted as ``numpy.isclose`` counts.
        unequal: how many are not equal.
        mean_abs: mean of |Δ| over the unequal elements; 0 when there are none.
        max_abs: maximum of the same.
        max_rel: maximum of |Δ| / |target| over the unequal elements whose target is not 0.
        rmse: root of the mean of |Δ|² over all elements.
        cosine: of the flattened arrays, in [-1, 1]; 1 when no element differs or both are zero, nan when one is zero.
        worst: the index of the element that differs most, the first of several; None when no element differs.
        worst_original: the original at that index.
        worst_target: the target at that index.
        required_atol: the smallest ``atol`` (to the precision of the dtype) with which all are close at the given
            ``rtol``; infinity when none is enough, as for a NaN against a number.
        nan_original: how many elements of the original are NaN.
        nan_target: how many of the target.
        inf_original: how many elements of the original are infinite.
        inf_target: how many of the target.
    """

    size: int = _metric()
    close: int = _metric(None, "close", percentage, ("size",), place=1, wide=False)
    unequal: int = _metric()
    mean_abs: float = _metric(lambda sums, _: _ratio(sums.abs, sums.unequal), "mean |Δ|", short, place=3, wide=False)
    max_abs: float = _metric(lambda sums, _: float(sums.max_abs), "max |Δ|", short, place=4, wide=False)
    max_rel: float = _metric(None, "max |Δ/target|", short, place=8)
    rmse: float = _metric(lambda sums, _: math.sqrt(_ratio(sums.squares, sums.size)), "RMSE", short, place=9)
    cosine: float = _metric(lambda sums, _: sums.cosine(), "cosine", truncated, place=2, wide=False)
    worst: Index | None = _metric(None, "at", _index, place=5, wide=False)  # noqa: RUF009 - a field
    worst_original: Scalar | None = _metric(  # noqa: RUF009
        None, "values there", _elements, ("worst_target",), place=7
    )
    worst_target: Scalar | None = _metric()  # noqa: RUF009
    required_atol: float = _metric(
        lambda sums, dtype: sums.required_atol(dtype), "atol to pass", enough, place=6, wide=False
    )
    nan_original: int = _metric(None, "NaN", "{}, {}".format, ("nan_target",), place=10)
    nan_target: int = _metric()
    inf_original: int = _metric(None, "Inf", "{}, {}".format, ("inf_target",), place=11)
    inf_target: int = _metric()

    @property
    def allclose(self) -> bool:
        """Whether every element is close; an empty pair is."""
        return self.close == self.size

    @property
    def ratio(self) -> float:
        """The share of elements that are close, from 0 to 1; 1 for an empty pair."""
        return self.close / self.size if self.size else 1.0


METRICS: dict[str, Metric] = {entry.name: entry.metadata["metric"] for entry in fields(Metrics)}


def _ratio(total: float, count: int) -> float:
    return total / count if count else 0.0


@dataclass(slots=True)
class Sums:
    """What adds up over the parts of a pair of arrays: counts and sums, and maxima, which are marked as such."""

    size: int = 0
    close: int = 0
    unequal: int = 0
    abs: float = 0.0
    squares: float = 0.0
    dot: float = 0.0
    original_squares: float = 0.0
    target_squares: float = 0.0
    max_rel: float = field(default=0.0, metadata={"maximum": True})
    # Of |original - target| - rtol * |target|: what atol has to cover.
    excess: float = field(default=0.0, metadata={"maximum": True})
    nan_original: int = 0
    nan_target: int = 0
    inf_original: int = 0
    inf_target: int = 0
    # The worst element: one is offered after the other. An int where a float would not tell two of them apart.
    max_abs: float = 0.0
    worst: Index | None = None
    worst_original: Scalar | None = None
    worst_target: Scalar | None = None

    def add(self, part: Sums) -> None:
        """Add the sums over another part of the same arrays."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        for name in _MAXIMA:
            setattr(self, name, larger(getattr(self, name), getattr(part, name)))
        if part.worst is not None:
            self.offer(part.max_abs, part.worst, part.worst_original, part.worst_target)

    def offer(self, difference: float, index: Index, original: Scalar | None, target: Scalar | None) -> None:
        """Take note of an element that differs, if it is worse than those before, or as bad and earlier."""
        if (
            self.worst is None
            or worse(difference, self.max_abs)
            or (index < self.worst and not worse(self.max_abs, difference))
        ):
            self.max_abs, self.worst = difference, index
            self.worst_original, self.worst_target = original, target

    def metrics(self, dtype: Dtype) -> Metrics:
        """The numbers that a user sees; `dtype` is the one in which the elements were compared."""
        return Metrics(
            **{name: metric.of(self, dtype) if metric.of else getattr(self, name) for name, metric in METRICS.items()}
        )

    def required_atol(self, dtype: Dtype) -> float:
        """The smallest ``atol`` with which all elements are close."""
        if not 0 < self.excess < math.inf:
            return self.excess
        # The subtraction was rounded, perhaps down; the next number up is enough for certain.
        real = np.zeros((), dtype).real.dtype.type
        with np.errstate(over="ignore"):
            return float(np.nextafter(real(self.excess), real(math.inf)))

    def cosine(self) -> float:
        """The cosine of the flattened arrays."""
        zero = (self.original_squares < _NO_DIRECTION, self.target_squares < _NO_DIRECTION)
        if not self.unequal or all(zero):
            return 1.0
        if any(zero):
            return math.nan
        cosine = self.dot / (math.sqrt(self.original_squares) * math.sqrt(self.target_squares))
        return cosine if math.isnan(cosine) else min(1.0, max(-1.0, cosine))


_MAXIMA = tuple(entry.name for entry in fields(Sums) if "maximum" in entry.metadata)
_OFFERED = ("max_abs", "worst", "worst_original", "worst_target")
_ADDED = tuple(entry.name for entry in fields(Sums) if entry.name not in (*_MAXIMA, *_OFFERED))


def worse(a: float, b: float) -> bool:
    """Whether a difference is worse than another; nothing is worse than NaN."""
    return not math.isnan(b) and (math.isnan(a) or a > b)


def larger(a: float, b: float) -> float:
    """The worse of two differences."""
    return b if worse(b, a) else a
