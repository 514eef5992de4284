"""What a worker is given and what it gives back: a piece of two tensors, and the sums over it.

A piece is a pair, or a box out of a pair of large arrays, so that one huge embedding keeps every worker busy as well as
many layers do. A worker that shares this process's memory shares the opened sources; any other opens the files itself,
and is sent the arrays only when they are in no file.
"""

from __future__ import annotations

import functools
import math
import pickle
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ts_core.comparison._metrics import Sums, Tolerance, boxes, fastest_axis, measure, working_dtype
from ts_core.comparison._report import Status
from ts_core.contract.arrays import Array
from ts_core.contract.file_map import place_of, release
from ts_core.contract.nouns import TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import CheckpointError, TsError

Shape = tuple[int, ...]
Words = tuple[str | None, ...]
Slices = tuple[Any, ...]  # of slices, or of the Ellipsis alone: everything

PIECE = 1 << 23  # elements from which a pair is cut into boxes of that size


@dataclass(frozen=True, slots=True)
class Pair:
    """The names of a tensor on either side, None where it has no partner.

    Attributes:
        original: the name under which the first source reads it.
        target: the name under which the second source reads it.
        shown: what the report calls the original, when that is not the name it is read by.
        info: shape and dtype of a tensor without a partner, when they are known.
        excuse: why it need not have a partner; empty when it should.
    """

    original: str | None
    target: str | None
    shown: str | None = None
    info: TensorInfo | None = None
    excuse: str = ""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The tolerance of each pair: that of the first pattern that matches, else the usual one.

    Attributes:
        usual: for pairs that no pattern matches.
        special: a glob over names, or the name of a dtype, and its tolerance; the first match counts.
    """

    usual: Tolerance
    special: tuple[tuple[str, Tolerance], ...] = ()

    def of(self, names: Words, dtypes: Words) -> Tolerance:
        """The tolerance of a pair with these names and dtypes."""
        return next((tolerance for pattern, tolerance in self.special if _fits(pattern, names, dtypes)), self.usual)

    def unused(self, pairs: Iterable[tuple[Words, Words]]) -> list[str]:
        """The patterns that fit none of these pairs of names and of dtypes."""
        left = [pattern for pattern, _ in self.special]
        for names, dtypes in pairs if left else ():
            left = [pattern for pattern in left if not _fits(pattern, names, dtypes)]
        return left


def _fits(pattern: str, names: Words, dtypes: Words) -> bool:
    return pattern in dtypes or any(name is not None and fnmatchcase(name, pattern) for name in names)


class _Shared:
    """A tensor that is read when the first of its pieces is compared, and let go with the last."""

    def __init__(self, source: LazyTensors, name: str) -> None:
        self._source, self._name = source, name
        self._lock = threading.Lock()
        self._runs: Sequence[Array] = ()

    def part(self, piece: Piece) -> Array:
        """What a piece needs of it."""
        return _cut(self._read(whole=piece.corner is None), piece)

    def shape(self) -> tuple[int, ...]:
        """Its shape, without its data."""
        return self._source.info(self._name).shape

    def runs(self) -> Sequence[Array]:
        """Its data, in several vectors if it would have to be joined."""
        return self._read(whole=False)

    def _read(self, *, whole: bool) -> Sequence[Array]:
        with self._lock:
            self._runs = self._runs or ([self._source.read(self._name)] if whole else self._source.runs(self._name))
            return self._runs


@dataclass(frozen=True, slots=True)
class _InFiles:
    """A tensor of a source that the worker opens again."""

    source: bytes  # pickled
    name: str

    def part(self, piece: Piece) -> Array:
        source = _opened(self.source)
        return _cut([source.read(self.name)] if piece.corner is None else source.runs(self.name), piece)


@dataclass(frozen=True, slots=True)
class InHand:
    """The part of a tensor that a piece needs, which goes along with the piece."""

    array: Array

    def part(self, _: Piece) -> Array:
        """The array."""
        return self.array


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A tensor that could not be read, to be told with the pair."""

    reason: str

    def part(self, _: Piece) -> Array:
        raise CheckpointError(self.reason)


@functools.lru_cache(maxsize=4)
def _opened(source: bytes) -> LazyTensors:
    """Equal bytes are the same files, unchanged: a source pickles with their identity."""
    opened: LazyTensors = pickle.loads(source)  # noqa: S301 - from the process that compares
    return opened


@dataclass(frozen=True, slots=True)
class Piece:
    """A pair, or a box out of a pair, as a worker gets it."""

    pair: int
    names: tuple[str | None, ...]
    tensors: tuple[_Shared | _InFiles | InHand | _Unreadable, ...]
    tolerances: Tolerances
    box: Slices = (...,)
    corner: tuple[int, ...] | None = None  # of the box; None when it is the whole pair
    shape: tuple[int, ...] = ()  # of the whole tensors, when this is a box

    def in_hand(self) -> Piece:
        """The same, with its arrays at hand. Raises what the source raises that cannot read them."""
        return replace(self, tensors=tuple(InHand(tensor.part(self)) for tensor in self.tensors))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker found out about a piece: the sums, or why there are none."""

    pair: int
    corner: tuple[int, ...] | None
    shapes: tuple[Shape | None, Shape | None]
    dtypes: tuple[str | None, str | None]
    tolerance: Tolerance
    sums: Sums | None = None
    working: np.dtype[Any] | None = None
    status: Status = Status.UNREADABLE
    detail: str = ""


def _cut(runs: Sequence[Array], piece: Piece) -> Array:
    """The box of a piece: its rows lie in one run, or it is without gaps in C order, at the seam of two."""
    if len(runs) == 1:
        return runs[0][piece.box]
    assert piece.corner is not None
    sizes = [len(range(*cut.indices(length))) for cut, length in zip(piece.box, piece.shape, strict=True)]
    row = math.prod(piece.shape[1:])
    rows, before = range(row * piece.corner[0], row * (piece.corner[0] + sizes[0])), 0
    for run in runs:
        if before <= rows.start and rows.stop <= before + run.size:
            inside = run[rows.start - before : rows.stop - before]
            return inside.reshape(sizes[0], *piece.shape[1:])[(slice(None), *piece.box[1:])]
        before += run.size
    start = int(np.ravel_multi_index(piece.corner, piece.shape))
    stop = start + math.prod(sizes)
    parts, before = [], 0
    for run in runs:
        parts.append(run[max(0, start - before) : max(0, stop - before)])
        before += run.size
    parts = [part for part in parts if part.size]
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(sizes)


def in_files(pieces: list[Piece]) -> list[Piece] | None:
    """The pieces with their arrays, if all lie in mapped files; None when somebody has to read or to make one first."""
    try:
        task = [piece.in_hand() for piece in pieces]
    except Exception:  # one is unreadable, which is told by who compares here
        return None
    arrays = (tensor.array for piece in task for tensor in piece.tensors if isinstance(tensor, InHand))
    return task if all(place_of(array) or not array.size for array in arrays) else None


def compare_pieces(pieces: list[Piece]) -> list[Outcome]:
    """What a worker does. What it looked at does not stay in memory."""
    arrays: list[Array] = []
    outcomes = [_compare_piece(piece, arrays) for piece in pieces]
    release(*arrays)
    return outcomes


def _compare_piece(piece: Piece, seen: list[Array]) -> Outcome:
    """Compare a piece; its arrays are added to those that were seen."""
    try:
        original, target = arrays = [tensor.part(piece) for tensor in piece.tensors]
    except Exception as problem:  # whatever is wrong with one tensor must not end the comparison of the others
        nothing = (None, None)
        return Outcome(piece.pair, piece.corner, nothing, nothing, piece.tolerances.usual, detail=_reason(problem))
    seen += arrays
    dtypes = (original.dtype.name, target.dtype.name)
    tolerance = piece.tolerances.of(piece.names, dtypes)
    shapes = (original.shape, target.shape) if piece.corner is None else (piece.shape, piece.shape)
    outcome = Outcome(piece.pair, piece.corner, shapes, dtypes, tolerance)
    if original.shape != target.shape:
        return replace(outcome, status=Status.SHAPE)
    work = [working_dtype(array.dtype) for array in arrays]
    if work[0] is None or work[1] is None:
        return replace(outcome, status=Status.DTYPE, detail=f"{dtypes[0]} against {dtypes[1]}")
    try:
        sums = measure(original, target, tolerance, piece.corner)
    except (OSError, TsError) as problem:  # it is only now that most of a file is read
        return replace(outcome, detail=_reason(problem))
    return replace(outcome, sums=sums, working=np.result_type(work[0], work[1]))


def _reason(problem: Exception) -> str:
    return str(problem) if isinstance(problem, TsError) else f"{type(problem).__name__}: {problem}"


class Cutter:
    """Makes the pieces of a pair: one, or several when the tensors are large.

    They are made to be `sent` if the workers do not share this process's memory.
    """

    def __init__(self, sources: tuple[LazyTensors, LazyTensors], tolerances: Tolerances, *, sent: bool) -> None:
        self._sources, self._tolerances = sources, tolerances
        self._pickled = [pickle.dumps(source) if source.travels else None for source in sources] if sent else None

    def pieces(self, number: int, pair: Pair, sizes: tuple[int, int]) -> list[Piece]:
        """The pieces of the pair of this number, whose tensors have these sizes in bytes."""
        names = (pair.original or "", pair.target or "")
        tensors = tuple(map(_Shared, self._sources, names))
        whole = Piece(number, (pair.shown, *names), tensors, self._tolerances)
        pieces = [whole]
        if min(sizes) > PIECE:
            # A tensor that cannot be read stays whole: whoever compares it reports why.
            with suppress(Exception):
                pieces = _pieces(whole, tensors)
        return pieces if self._pickled is None else [self._sent(piece, tensors, names) for piece in pieces]

    def _sent(self, piece: Piece, tensors: tuple[_Shared, ...], names: tuple[str, str]) -> Piece:
        assert self._pickled is not None
        sides = zip(tensors, self._pickled, names, strict=True)
        sent = (
            _in_hand(tensor, piece) if pickled is None else _InFiles(pickled, name) for tensor, pickled, name in sides
        )
        return replace(piece, tensors=tuple(sent))


def _pieces(whole: Piece, tensors: tuple[_Shared, ...]) -> list[Piece]:
    """The boxes of a large pair, long along the axes along which its elements lie together."""
    shape, other = (tensor.shape() for tensor in tensors)
    if shape != other or math.prod(shape) <= PIECE:
        return [whole]
    runs = [tensor.runs() for tensor in tensors]
    axes = tuple(fastest_axis(parts[0]) if len(parts) == 1 else len(shape) - 1 for parts in runs)
    pieces, row = [], math.prod(shape[1:])
    seams = {seam for parts in runs for seam in accumulate(run.size for run in parts[:-1])}
    rows = sorted({0, shape[0]}.union(*({seam // row, -(-seam // row)} for seam in seams)))
    for start, stop in pairwise(rows):
        torn = any(start * row < seam < stop * row for seam in seams)
        for corner, box in boxes((stop - start, *shape[1:]), PIECE, () if torn else axes):
            first = slice(start + box[0].start, start + min(box[0].stop, stop - start))
            place = (start + corner[0], *corner[1:])
            pieces.append(replace(whole, box=(first, *box[1:]), corner=place, shape=shape))
    return pieces


def _in_hand(tensor: _Shared, piece: Piece) -> InHand | _Unreadable:
    try:
        return InHand(tensor.part(piece))
    except Exception as problem:
        return _Unreadable(_reason(problem))
