"""What one array is to another: a multiple, its negative, the same numbers elsewhere, an activation of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import Any

import numpy as np

from ts_core.location._difference import difference, rounding
from ts_core.reporting import short

Array = np.ndarray[Any, np.dtype[Any]]

_NEAR = 64.0  # units of the last place, to the whole: what a relation may leave
_MOST = 1 << 22  # elements beyond which orders are not looked for


def relation(source: Array, target: Array, slack: float = 0.0) -> str | None:
    """The target in terms of the source, in words; None when nothing fits.

    Args:
        source: any array.
        target: any array.
        slack: what may be left besides rounding, relative: a measured noise.
    """
    if source.dtype.kind not in "fV" or target.dtype.kind not in "fV" or not source.size or not target.size:
        return None
    if not (np.isfinite(source.astype(np.float64)).all() and np.isfinite(target.astype(np.float64)).all()):
        return _not_finite(source, target)
    a, b = (array.astype(np.float64) for array in (source, target))
    near = max(_NEAR * max(rounding(source, target), float(np.finfo(np.float32).eps)), 4 * slack)

    def fits(guess: Array, of: Array = b) -> bool:
        return guess.shape == of.shape and difference(of, guess).rms <= near

    for test in (_zero, _dtype, _scaled, _moved, _shifted, _parts, _activated, _arranged):
        told = test(a, b, fits)
        if told is not None:
            return told
    return None


Fits = Callable[..., bool]


def _not_finite(source: Array, target: Array) -> str | None:
    if np.isfinite(source.astype(np.float64)).all():
        return "NaN or infinity where the source has numbers"
    return None


def _zero(a: Array, b: Array, fits: Fits) -> str | None:
    if not b.any() and a.any():
        return "all zeros in the target"
    if not a.any() and b.any():
        return "all zeros in the source"
    return None


def _dtype(a: Array, b: Array, fits: Fits) -> str | None:
    """The numbers of a coarser dtype."""
    if a.shape != b.shape:
        return None
    import ml_dtypes

    for dtype in (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)):
        for one, other, whose in ((a, b, "target"), (b, a, "source")):
            with np.errstate(all="ignore"):
                if (other.astype(dtype).astype(np.float64) == other).all() and (
                    one.astype(dtype).astype(np.float64) != one
                ).any():
                    return f"the {whose} computes it in the dtype {dtype.name}, in lower precision"
    return None


def _scaled(a: Array, b: Array, fits: Fits) -> str | None:
    if a.shape != b.shape or not (a * a).sum():
        return None
    factor = float((a * b).sum() / (a * a).sum())
    if factor and fits(a * factor):
        if abs(factor + 1) < 1e-5:
            return "the sign is the other way round: the target is −1 × the source"
        return f"the target is a multiple of the source: × {_number(factor)}"
    return None


def _number(value: float) -> str:
    """A factor, as a fraction or a root where it is one."""
    for sign in (value,):
        for top, text in ((1 / sign, "1/{}"), (sign, "{}")):
            if abs(top - round(top)) < 1e-4 * abs(top) and 1 <= abs(top) < 1e6:
                return text.format(round(top)).replace("1/1", "1")
            if abs(top * top - round(top * top)) < 1e-4 * top * top and 1 < top * top < 1e6 and top > 0:
                return text.format(f"√{round(top * top)}")
    return short(value)


def _moved(a: Array, b: Array, fits: Fits) -> str | None:
    """A constant added: everywhere, or for each place along one axis."""
    if a.shape != b.shape:
        return None
    d = b - a
    scale = float(np.sqrt((a * a).mean())) or 1.0
    if np.ptp(d) <= 1e-4 * max(float(np.abs(d).max()), 1e-30) + 1e-6 * scale:
        return f"a constant is added: the target is the source {_signed(float(d.mean()))}"
    for axis in range(a.ndim):
        if a.shape[axis] < 2 or a.size == a.shape[axis]:
            continue
        others = tuple(i for i in range(a.ndim) if i != axis)
        mean = d.mean(axis=others, keepdims=True)
        if np.abs(d - mean).max() <= 1e-4 * float(np.abs(mean).max()) + 1e-6 * scale:
            return f"a constant is added for each place along axis {axis}, as a bias does"
    return None


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '−'} {short(abs(value))}"


def _shifted(a: Array, b: Array, fits: Fits) -> str | None:
    """Rolled, moved by some, or reversed along an axis."""
    if a.shape != b.shape or a.size > _MOST:
        return None
    for axis in range(a.ndim):
        n = a.shape[axis]
        if n < 2:
            continue
        if fits(np.flip(a, axis)):
            return f"reversed along axis {axis}: the order is flipped"
        for step in [s for k in range(1, min(n, 9)) for s in (k, -k)]:
            if fits(np.roll(a, step, axis)):
                return f"shifted by {step} along axis {axis}, around the edge (a permutation)"
            inner = np.take(a, range(max(0, -step), n - max(0, step)), axis)
            there = np.take(b, range(max(0, step), n - max(0, -step)), axis)
            if n - abs(step) >= 2 and inner.std() > 0 and fits(inner, there):
                return f"shifted by {step} along axis {axis}"
    return None


def _parts(a: Array, b: Array, fits: Fits) -> str | None:
    """Slices along one axis of which some are the same and some a multiple."""
    if a.shape != b.shape:
        return None
    for axis in range(a.ndim):
        if a.shape[axis] < 2:
            continue
        others = tuple(i for i in range(a.ndim) if i != axis)
        aa, ab = (a * a).sum(axis=others), (a * b).sum(axis=others)
        known = aa > 1e-12 * aa.max()  # a channel that is silent tells of no factor
        factors = np.where(known, ab / np.where(known, aa, 1), 1)
        if not fits(a * np.expand_dims(factors, others)):
            continue
        kinds = sorted({float(f"{factor:.4g}") for factor in factors[known]})
        if 1 < len(kinds) <= 3:
            changed = [kind for kind in kinds if abs(kind - 1) > 1e-3]
            if not changed:
                continue
            near = [np.abs(factors - kind) <= 1e-3 * max(abs(kind), 1e-3) for kind in changed]
            told = zip(changed, map(np.flatnonzero, near), strict=True)
            parts = ", ".join(f"× {_number(kind) if kind else 0} at {_ranges(places)}" for kind, places in told)
            return f"a part of axis {axis} is a multiple: {parts}"
        if a.size > a.shape[axis] and len(kinds) > 3:
            return f"each place along axis {axis} is a multiple of its own, as a scale does"
    return None


def _ranges(places: Array) -> str:
    if len(places) > 1 and places[-1] - places[0] == len(places) - 1:
        return f"{places[0]} to {places[-1]}"
    return ", ".join(map(str, places[:6])) + (" …" if len(places) > 6 else "")


def _erf(x: Array) -> Array:
    """NumPy has none."""
    from math import erf

    return np.asarray(np.vectorize(erf, otypes=[np.float64])(x))


def _softmax(x: Array, axis: int) -> Array:
    if not -x.ndim <= axis < x.ndim:
        return x
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))),
    "gelu (tanh)": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "leaky_relu (0.01)": lambda x: np.where(x > 0, x, 0.01 * x),
    "leaky_relu (0.1)": lambda x: np.where(x > 0, x, 0.1 * x),
    "leaky_relu (0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "softplus": lambda x: np.logaddexp(x, 0),
    "exp": np.exp,
    "abs": np.abs,
    "square": np.square,
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "softsign": lambda x: x / (1 + np.abs(x)),
    **{f"softmax (axis {axis})": functools.partial(_softmax, axis=axis) for axis in (-1, 0, 1, -2)},
    "log_softmax": lambda x: np.log(_softmax(x, -1)),
}


def _activated(a: Array, b: Array, fits: Fits) -> str | None:
    if a.shape != b.shape or a.size > _MOST:
        return None
    with np.errstate(all="ignore"):
        for name, function in ACTIVATIONS.items():
            if fits(function(a), b) and not fits(a, b):
                return f"the target is {name} of the source: an activation that the source does not have here"
            if fits(function(b), a) and not fits(b, a):
                return f"the source is {name} of the target: an activation is missing in the target"
    low, high = float(b.min()), float(b.max())
    for one, other, whose in ((a, b, "target"), (b, a, "source")):
        low, high = float(other.min()), float(other.max())
        if (one.min() < low or one.max() > high) and (np.clip(one, low, high) == other).all():
            return f"the {whose} is clipped to {short(low)} … {short(high)}: a bounded activation"
    return None


def _arranged(a: Array, b: Array, fits: Fits) -> str | None:
    """The same numbers in another arrangement."""
    if a.size != b.size or a.size > _MOST:
        return None
    for order in permutations(range(a.ndim)):
        if order != tuple(range(a.ndim)) and fits(a.transpose(order)):
            return f"transposed: a permutation of the axes, {order}"
        if order != tuple(range(a.ndim)) and a.size == b.size and fits(a.transpose(order).reshape(b.shape)):
            return f"a permutation: the axes are in the order {order} before it is reshaped"
    if a.shape == b.shape:
        for axis in range(a.ndim):
            swapped = _slices(a, b, axis, fits)
            if swapped is not None:
                return swapped
    if fits(np.sort(a, axis=None), np.sort(b, axis=None)):
        return "the same numbers in another order: a permutation (a reshape without its transpose?)"
    for axis in range(min(a.ndim, b.ndim)):
        if a.shape[: axis + 1] == b.shape[: axis + 1]:
            flat = a.reshape(*a.shape[: axis + 1], -1), b.reshape(*b.shape[: axis + 1], -1)
            if flat[0].shape[-1] > 1 and fits(np.sort(flat[0], -1), np.sort(flat[1], -1)):
                return "the same numbers in another order: a permutation of elements"
    return None


def _slices(a: Array, b: Array, axis: int, fits: Fits) -> str | None:
    """Whether slices along an axis are exchanged."""
    n = a.shape[axis]
    if n < 2 or n > 8192:
        return None
    weights = np.random.default_rng(0).standard_normal(a.size // n)
    keys = [np.moveaxis(array, axis, 0).reshape(n, -1) @ weights for array in (a, b)]
    orders = [np.argsort(key, kind="stable") for key in keys]
    order = np.empty(n, int)
    order[orders[1]] = orders[0]
    if (order == np.arange(n)).all() or not fits(np.take(a, order, axis)):
        return None
    blocks = list(_blocks(order))
    if len(blocks) <= 4:
        text = ", ".join(f"{begin} to {end}" if begin != end else str(begin) for begin, end in blocks)
        return f"a permutation along axis {axis}: the parts come in the order {text}"
    return f"a permutation along axis {axis}"


def _blocks(order: Array) -> Iterator[tuple[int, int]]:
    begin = previous = int(order[0])
    for place in map(int, order[1:]):
        if place != previous + 1:
            yield begin, previous
            begin = place
        previous = place
    yield begin, previous
