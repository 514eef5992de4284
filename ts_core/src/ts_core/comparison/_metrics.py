"""Every number about a pair of arrays, from one walk over both, block by block, while the block is in the cache.

Both arrays are first cast as ``numpy.isclose`` would see them: float16, bfloat16 and float8 to float32, bools and
integers to float64; float32, float64 and complex stay. A block goes one of two ways. :func:`_plain` holds the textbook
formulas, for every dtype and every value. :func:`_fast` takes real, finite blocks: it writes into scratch memory that
the thread keeps, and leaves out what a bound already decides, as when even the largest difference is within ``atol``.
Integers that float64 would round are subtracted before the cast, exactly.

A result over one part of an array is a :class:`Sums`, and the sums of parts add up, so that threads or processes may
share a large array. A new metric adds its share of a block in :func:`_whichever_way`, or faster in both ways.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ts_core.comparison import _wide
from ts_core.comparison._sums import METRICS, Index, Metrics, Sums, Tolerance, larger, scalar, worse
from ts_core.contract.arrays import Array
from ts_core.contract.file_map import copy_bytes, map_of, release, require_unchanged

__all__ = ["BLOCK", "METRICS", "Metrics", "Sums", "Tolerance", "boxes", "measure", "scalar", "working_dtype"]

BLOCK = 262_144  # elements: measured; smaller ones spend the time between the calls, larger ones fall out of the cache
# Elements that the BLAS sums up in one go: few enough for float32 to stay within 1e-6 even where all roundings go the
# same way, as with one large element among many equal small ones; twice as many elements, twice the error.
_DOT = 512
_ONES = {char: np.ones((_DOT, 1), char) for char in "fd"}
_NO_REST = np.zeros(())
_ROUNDED = 1 - 1e-6  # a ratio of float32 that is below a limit by more than this is so before rounding too


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype in which elements of `dtype` are compared; None when they are no numbers."""
    if _is_extended(dtype):
        return np.dtype(np.float64 if "int" in dtype.name else np.float32)
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    if dtype.kind == "f":
        return np.promote_types(dtype, np.float32).newbyteorder("=")
    return dtype.newbyteorder("=") if dtype.kind == "c" else None


def _is_extended(dtype: np.dtype[Any]) -> bool:
    """Whether this is a dtype of ml_dtypes; NumPy files them under several kinds."""
    return dtype.type.__module__.partition(".")[0] == "ml_dtypes"


def measure(original: Array, target: Array, tolerance: Tolerance, origin: Index | None = None) -> Sums:
    """Compare two arrays of one shape.

    Args:
        original: an array of numbers of any dtype and layout; read-only and memory-mapped ones included.
        target: an array of the same shape, perhaps of another dtype.
        tolerance: when two elements are close.
        origin: where these arrays begin in larger ones of which they are a part; the worst index is counted there.

    Returns:
        The sums over all elements; their ``metrics`` are the result.

    Raises:
        TypeError: a dtype has no numbers (``working_dtype`` is None).
        CheckpointError: a file that they are views of was changed in place.
    """
    work = (working_dtype(original.dtype), working_dtype(target.dtype))
    if work[0] is None or work[1] is None:
        raise TypeError(f"arrays of dtype {original.dtype} and {target.dtype} hold no numbers to compare")
    shape = original.shape
    flat = original.flags.c_contiguous and target.flags.c_contiguous
    if flat:
        original, target = original.reshape(-1), target.reshape(-1)
    wide = _wide.is_wide(original.dtype), _wide.is_wide(target.dtype)
    fast = {work[0].char, work[1].char} <= {"f", "d"}
    sums, scratch = Sums(), _scratch(work[0], work[1])
    with np.errstate(all="ignore"):
        for corner, x, y in _blocks(original, target):
            block = _Block(_load(x, scratch.original), _load(y, scratch.target), x, y, corner)
            block.rounded = (wide[0] and not _wide.fits(block.original)) or (wide[1] and not _wide.fits(block.target))
            if block.rounded or not (fast and _fast(sums, block, tolerance, scratch)):
                _plain(sums, block, tolerance)
            _whichever_way(sums, block)
    if sums.worst is not None:
        local = _unravel(sums.worst[0], shape) if flat else sums.worst
        sums.worst = _moved(local, origin or (0,) * len(shape))
    return sums


@dataclass(slots=True)
class _Block:
    """Corresponding blocks of both arrays, cast and flattened; as they were; and where they begin.

    `rounded` says that the cast made other numbers of some integers.
    """

    original: Array
    target: Array
    x: Array
    y: Array
    corner: Index
    rounded: bool = False

    def offer(self, sums: Sums, difference: float, position: int) -> None:
        """Let an element of the block be the worst."""
        place = _unravel(position, self.x.shape)
        sides = (self.original, self.x), (self.target, self.y)
        values = (raw[place] if raw.dtype.kind in "biu" else cast[position] for cast, raw in sides)
        sums.offer(difference, _moved(self.corner, place), *(value.item() for value in values))

    def differences(self) -> tuple[Array, Array]:
        """``|original - target|``, and what these leave out of it where integers are so large that they have to."""
        if self.rounded:
            sides = (self.original, self.x), (self.target, self.y)
            return _wide.difference(*(raw.reshape(-1) if _wide.is_wide(raw.dtype) else cast for cast, raw in sides))
        return np.abs(self.original - self.target), _NO_REST


def _unravel(position: int, shape: Index) -> Index:
    return tuple(int(i) for i in np.unravel_index(position, shape))


def _moved(index: Index, by: Index) -> Index:
    return tuple(i + j for i, j in zip(index, by, strict=True))


def _whichever_way(sums: Sums, block: _Block) -> None:
    """Add what has one formula for every block."""
    sums.size += block.original.size


def _plain(sums: Sums, block: _Block, tolerance: Tolerance) -> None:
    """Add a block of any numbers: the formulas as they are defined."""
    x, y = block.original, block.target
    nan_x, nan_y = np.isnan(x), np.isnan(y)
    finite = np.isfinite(x) & np.isfinite(y)
    difference, rest = block.differences()
    equal = difference == 0 if block.rounded else x == y
    if tolerance.equal_nan:
        equal = equal | (nan_x & nan_y)
    magnitude = np.abs(y)
    difference = np.where(equal, 0, difference)
    relative = tolerance.rtol * magnitude
    # Where a rest decides, the subtraction has no rounding, as the two are close together.
    bound = tolerance.atol + relative
    within = difference - bound + rest <= 0 if block.rounded else difference <= bound
    close = (within & finite) | equal

    sums.close += int(np.count_nonzero(close))
    sums.unequal += x.size - int(np.count_nonzero(equal))
    sums.nan_original += int(np.count_nonzero(nan_x))
    sums.nan_target += int(np.count_nonzero(nan_y))
    sums.inf_original += int(np.count_nonzero(np.isinf(x)))
    sums.inf_target += int(np.count_nonzero(np.isinf(y)))

    double = np.result_type(x, y, np.float64)
    x64, y64, d64 = x.astype(double), y.astype(double), difference.astype(np.float64)
    sums.abs += float(d64.sum())
    sums.squares += float(_dot(d64, d64))
    sums.dot += float(_dot(x64.conj(), y64).real)
    sums.original_squares += float(_dot(x64.conj(), x64).real)
    sums.target_squares += float(_dot(y64.conj(), y64).real)

    if not equal.all():
        position = int(np.argmax(np.where(equal, -1, difference)))  # the first NaN, if there is one
        largest = float(difference[position])
        if block.rounded:
            position, largest = _wide.first_largest(difference, rest, position)
            difference = np.where(rest > 0, np.nextafter(difference, np.inf), difference)  # enough
        block.offer(sums, largest, position)
        excess = np.where(finite, difference - relative, np.where(close, 0, np.inf))
        sums.excess = larger(sums.excess, float(excess.max()))
        comparable = ~equal & (magnitude != 0)
        if comparable.any():
            sums.max_rel = larger(sums.max_rel, float((difference[comparable] / magnitude[comparable]).max()))


def _fast(sums: Sums, block: _Block, tolerance: Tolerance, scratch: _Scratch) -> bool:
    """Add a block of float32 or float64, or answer False and change nothing when its values need more care."""
    x, y, size = block.original, block.target, block.original.size
    if not scratch.single:
        x = _double(x, scratch.original_double)
    difference = np.subtract(x, y, out=scratch.difference[:size])
    along = _dot(x, difference)  # before the sign is gone; without meaning should the block turn out not to be finite
    np.abs(difference, out=difference)
    position = int(difference.argmax())  # of the first NaN, if there is one
    largest = float(difference[position])
    if not largest * size < scratch.limit:
        return False  # NaN, infinity, or a sum that would overflow

    _add_products(sums, x, y, difference, largest, along, scratch)
    if largest == 0:
        sums.close += size
        return True
    mask = scratch.mask[:size]
    sums.unequal += int(np.count_nonzero(np.greater(difference, 0, out=mask)))
    sums.abs += float(_sum(difference))
    if sums.worst is None or not worse(sums.max_abs, largest):
        block.offer(sums, largest, position)

    magnitude = np.abs(y, out=scratch.magnitude[:size])
    ratios = np.divide(difference, magnitude, out=scratch.ratios[:size])
    max_ratio = float(np.fmax.reduce(ratios))  # 0 / 0 is NaN, which fmax passes over
    max_rel = float(np.max(ratios, where=magnitude != 0, initial=0)) if math.isinf(max_ratio) else max_ratio
    sums.max_rel = larger(sums.max_rel, max_rel)

    # Where even the largest difference is within a bound, no element needs to be looked at for it.
    if largest > sums.excess and max_ratio >= tolerance.rtol * _ROUNDED:
        excess = np.subtract(difference, np.multiply(magnitude, tolerance.rtol, out=ratios), out=ratios)
        sums.excess = larger(sums.excess, float(excess.max()))
    if largest <= float(magnitude.dtype.type(tolerance.atol)):
        sums.close += size
    else:
        bound = np.multiply(magnitude, tolerance.rtol, out=magnitude)
        np.add(bound, tolerance.atol, out=bound)
        sums.close += int(np.count_nonzero(np.less_equal(difference, bound, out=mask)))
    return True


def _add_products(
    sums: Sums, x: Array, y: Array, difference: Array, largest: float, along: float, scratch: _Scratch
) -> None:
    """Add the scalar products of two blocks with themselves and with each other.

    With Δ = x - y small against x, those with y follow from x·x, x·Δ (`along`) and Δ·Δ: x·y = x·x - x·Δ and
    y·y = x·x - 2 x·Δ + Δ·Δ. They then share the rounding of x·x, which the cosine cancels, so that a dot product of
    some hundred float32 is precise enough, as long as its squares stay within the range of float32. Otherwise they
    are computed from x and y in float64.
    """
    xx, dd = _dot(x, x), _dot(difference, difference)
    low, high = scratch.squares
    if low * x.size <= min(xx, dd if largest else xx) and dd <= xx / 16 <= high:
        sums.original_squares += xx
        sums.target_squares += xx - 2 * along + dd
        sums.dot += xx - along
        sums.squares += dd
        return
    x64, y64 = _double(x, scratch.original_double), _double(y, scratch.target_double)
    sums.original_squares += _dot(x64, x64)
    sums.target_squares += _dot(y64, y64)
    sums.dot += _dot(x64, y64)
    d64 = _double(difference, scratch.original_double)  # x64 is done with
    sums.squares += _dot(d64, d64)


def _dot(x: Array, y: Array) -> Any:
    """The dot product of two vectors of one dtype, in runs of `_DOT` elements; the runs are summed in double."""
    whole = x.size - x.size % _DOT
    runs = np.matmul(x[:whole].reshape(-1, 1, _DOT), y[:whole].reshape(-1, _DOT, 1))
    return runs.sum(dtype=np.result_type(x, np.float64)) + np.dot(x[whole:], y[whole:])


def _sum(x: Array) -> float:
    """The sum of a vector of float32 or float64, likewise: the BLAS is faster at it than ``x.sum()``."""
    whole = x.size - x.size % _DOT
    runs = np.matmul(x[:whole].reshape(-1, 1, _DOT), _ONES[x.dtype.char])
    return float(runs.sum(dtype=np.float64)) + float(x[whole:].sum())


def _double(x: Array, buffer: Array) -> Array:
    """A vector as float64, in the buffer unless it is that already."""
    if x.dtype == buffer.dtype:
        return x
    double = buffer[: x.size]
    np.copyto(double, x)
    return double


class _Scratch:
    """Memory for one block of a pair of working dtypes, used again for every block."""

    def __init__(self, original: np.dtype[Any], target: np.dtype[Any]) -> None:
        both = np.result_type(original, target)
        self.original = np.empty(BLOCK, original)
        self.target = np.empty(BLOCK, target)
        self.difference = np.empty(BLOCK, both)
        self.ratios = np.empty(BLOCK, both)
        self.magnitude = np.empty(BLOCK, target)
        self.original_double = np.empty(BLOCK, np.float64)
        self.target_double = np.empty(BLOCK, np.float64)
        self.mask = np.empty(BLOCK, bool)
        self.limit = float(np.finfo(both).max)
        self.single = both.char == "f"
        # From the mean to the sum of the squares: where those of float32 neither vanish nor overflow.
        self.squares = (1e-30, self.limit) if self.single else (0.0, math.inf)


_LOCAL = threading.local()


def _scratch(original: np.dtype[Any], target: np.dtype[Any]) -> _Scratch:
    """The calling thread's scratch memory for a pair of working dtypes."""
    kept: dict[tuple[str, str], _Scratch] = _LOCAL.__dict__.setdefault("scratch", {})
    key = (original.char, target.char)
    if key not in kept:
        kept[key] = _Scratch(original, target)
    return kept[key]


def _load(block: Array, buffer: Array) -> Array:
    """A block as a vector of the buffer's dtype: a view where the block is one already, else cast into the buffer."""
    vector = buffer[: block.size]
    if block.dtype == buffer.dtype and block.flags.c_contiguous:
        if block.flags.aligned:
            return block.reshape(-1)
        copy_bytes(block, vector)
        return vector
    shaped = vector.reshape(block.shape)
    if block.dtype.name == "bfloat16":  # the upper half of a float32
        bits = shaped.view(np.uint32)
        np.copyto(bits, block.view(np.uint16))
        np.left_shift(bits, 16, out=bits)
    elif block.itemsize == 1 and _is_extended(block.dtype):
        np.take(_values(block.dtype).astype(buffer.dtype), block.view(np.uint8), out=shaped, mode="clip")
    else:
        np.copyto(shaped, block, casting="unsafe")
    return vector


@functools.cache
def _values(dtype: np.dtype[Any]) -> Array:
    """The 256 values of a dtype of one byte."""
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)


def boxes(shape: Index, limit: int, first: tuple[int, ...] = ()) -> Iterator[tuple[Index, tuple[slice, ...]]]:
    """Cut an array into boxes of at most `limit` elements.

    Args:
        shape: of the array.
        limit: the largest number of elements of a box, at least 1.
        first: axes along which a box should be long, before the last axes are: those with small strides.

    Yields:
        The corner of each box, and its slices; in C order of the corners.
    """
    sizes, room = [1] * len(shape), limit
    long = dict.fromkeys(first)
    for axis in long:
        sizes[axis] = max(1, min(shape[axis], int(limit ** (1 / len(long)) / len(long))))
        room //= sizes[axis]
    for axis in reversed(range(len(shape))):
        grown = max(1, min(shape[axis], sizes[axis] * room))
        room = room * sizes[axis] // grown
        sizes[axis] = grown
    steps = [range(0, length, size) for length, size in zip(shape, sizes, strict=True)]
    for corner in itertools.product(*steps):
        yield corner, tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))


def fastest_axis(array: Array) -> int:
    """The axis along which the elements of an array lie closest together."""
    return min(range(array.ndim), key=lambda axis: (array.shape[axis] == 1, abs(array.strides[axis])), default=0)


def _blocks(original: Array, target: Array) -> Iterator[tuple[Index, Array, Array]]:
    """Corresponding blocks of two arrays of one shape, and the corner of each.

    Of large vectors, the pages of a mapped file are let go with their block; of other arrays, blocks may share them.
    """
    if not original.size:
        return
    large = original.ndim == 1 and original.size > BLOCK
    # What fits into one block was read a moment ago, and the file was looked at then.
    files = [map_of(array) for array in (original, target) if original.size > BLOCK]
    for corner, box in boxes(original.shape, BLOCK, (fastest_axis(original), fastest_axis(target))):
        for file in files:
            require_unchanged(file)
        x, y = original[box], target[box]
        yield corner, x, y
        if large:
            release(x, y)
