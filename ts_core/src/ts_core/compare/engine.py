"""Who compares what: pairs become pieces, pieces are spread over threads or an executor, results become rows.

A piece is a pair, or a box out of a pair of large arrays, so that one huge embedding keeps every thread busy as well as
many layers do. Small pairs travel together in one task. Threads share the sources; a worker of any other executor
opens the files itself, and is sent the arrays only when they are in no file.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ts_core.compare.folders import NpyFolder
from ts_core.compare.metrics import Sums, Tolerance, boxes, measure, working_dtype
from ts_core.compare.report import Comparison, Status
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError, ComparisonError, TsError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ts_core.model import TensorInfo

    Array = np.ndarray[Any, np.dtype[Any]]

Slices = tuple[Any, ...]  # of slices, or of the Ellipsis alone: everything

PIECE = 1 << 23  # elements from which a pair is cut into boxes of that size
_TASK = 1 << 23  # bytes of small pairs that travel together
_TASK_PAIRS = 256
_PENDING = 64  # tasks handed at a time to an executor, whose number of workers is not known


class Source(Protocol):
    """Where the tensors of one side come from: a ``LazyTensors`` or a folder of ``.npy`` files."""

    def read(self, name: str) -> Array:
        """The tensor of this name."""

    def runs(self, name: str) -> Sequence[Array]:
        """The same, in several vectors if it would have to be joined."""

    def info(self, name: str) -> TensorInfo:
        """Its shape and dtype, without its data."""


class Handle(Protocol):
    """What opens a source in another process. It can be pickled; equal handles open the same source."""

    def __hash__(self) -> int:
        """Equal for equal handles."""

    def open(self) -> Source:
        """The source, opened there."""


@dataclass(frozen=True, slots=True)
class FolderHandle:
    """Opens a folder of ``.npy`` files."""

    path: str
    bare: bool = False

    def open(self) -> NpyFolder:
        """The folder."""
        return NpyFolder(self.path, bare=self.bare)


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

    def of(self, names: Iterable[str | None], dtypes: Iterable[str]) -> Tolerance:
        """The tolerance of a pair with these names and dtypes."""
        known, present = set(dtypes), [name for name in names if name is not None]
        for pattern, tolerance in self.special:
            if pattern in known or any(fnmatchcase(name, pattern) for name in present):
                return tolerance
        return self.usual


class _Shared:
    """A tensor that is read when the first of its pieces is compared, and let go with the last."""

    def __init__(self, source: Source, name: str) -> None:
        self._source, self._name = source, name
        self._lock = threading.Lock()
        self._runs: Sequence[Array] = ()

    def part(self, piece: _Piece) -> Array:
        with self._lock:
            self._runs = self._runs or self._read(piece)
        return _cut(self._runs, piece)

    def _read(self, piece: _Piece) -> Sequence[Array]:
        return [self._source.read(self._name)] if piece.corner is None else self._source.runs(self._name)


@dataclass(frozen=True, slots=True)
class _InFile:
    """A tensor in a file that the worker opens itself."""

    handle: Handle
    name: str

    def part(self, piece: _Piece) -> Array:
        source = _opened(self.handle)
        return _cut([source.read(self.name)] if piece.corner is None else source.runs(self.name), piece)


@dataclass(frozen=True, slots=True)
class _InHand:
    """The part of a tensor that a piece needs, sent along because it is in no file."""

    array: Array

    def part(self, _: _Piece) -> Array:
        return self.array


@functools.lru_cache(maxsize=4)
def _opened(handle: Handle) -> Source:
    return handle.open()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A pair, or a box out of a pair, as a worker gets it."""

    pair: int
    names: tuple[str | None, ...]
    tensors: tuple[_Shared | _InFile | _InHand, ...]
    tolerances: Tolerances
    box: Slices = (...,)
    corner: tuple[int, ...] | None = None  # of the box; None when it is the whole pair
    shape: tuple[int, ...] = ()  # of the whole tensors, when this is a box


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a worker found out about a piece: the sums, or why there are none."""

    pair: int
    corner: tuple[int, ...] | None
    shapes: tuple[tuple[int, ...] | None, ...]
    dtypes: tuple[str | None, ...]
    tolerance: Tolerance
    sums: Sums | None = None
    working: np.dtype[Any] | None = None
    status: Status = Status.UNREADABLE
    detail: str = ""


def _cut(runs: Sequence[Array], piece: _Piece) -> Array:
    """The box of a piece. In C order it is without gaps, so that it lies in one run, or at the seam of two."""
    if len(runs) == 1:
        return runs[0][piece.box]
    assert piece.corner is not None
    sizes = [len(range(*cut.indices(length))) for cut, length in zip(piece.box, piece.shape, strict=True)]
    start = int(np.ravel_multi_index(piece.corner, piece.shape))
    stop = start + math.prod(sizes)
    parts, before = [], 0
    for run in runs:
        part = run[max(0, start - before) : max(0, stop - before)]
        before += run.size
        if part.size:
            parts.append(part)
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(sizes)


def compare_pairs(
    sources: tuple[Source, Source],
    pairs: Sequence[Pair],
    tolerances: Tolerances,
    *,
    handles: tuple[Handle | None, Handle | None] = (None, None),
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool | None = True,
) -> list[Comparison]:
    """Compare every pair.

    Args:
        sources: what the original and the target names are read from.
        pairs: which tensors to compare.
        tolerances: when elements are close.
        handles: how another process opens the sources; None where they are in no file.
        workers: the number of threads; by default one for each processor that this process may use.
        executor: used instead of threads; it is not shut down.
        progress: whether to show a progress bar on stderr; None: when that is a terminal.

    Returns:
        A row for each pair, in their order.

    Raises:
        ArgumentTypeError: `workers` is no int, or `executor` no executor.
        ArgumentError: `workers` is less than 1.
        ComparisonError: the executor lost its workers.
    """
    threads = _check_workers(workers, executor)
    rows: dict[int, Comparison] = {}
    expected: dict[int, int] = {}  # how many pieces a pair has
    found: defaultdict[int, list[_Outcome]] = defaultdict(list)
    cutter = _Cutter(sources, tolerances, handles if executor is not None and not _shares_memory(executor) else None)

    def pieces() -> Iterator[tuple[int, list[_Piece]]]:
        for number, pair in enumerate(pairs):
            if pair.original is not None and pair.target is not None:
                size, cut = cutter.pieces(number, pair)
                expected[number] = len(cut)
                yield size, cut

    with _progress_bar(len(pairs), progress) as advance:
        for number, pair in enumerate(pairs):
            if pair.original is None or pair.target is None:
                rows[number] = _unpaired(sources, pair, tolerances.usual)
                advance()
        with closing(_run(_tasks(pieces()), threads, executor)) as outcomes:
            for outcome in outcomes:
                parts = found[outcome.pair]
                parts.append(outcome)
                if len(parts) == expected[outcome.pair]:
                    rows[outcome.pair] = _row(pairs[outcome.pair], found.pop(outcome.pair))
                    advance()
    return [rows[number] for number in range(len(pairs))]


def compare_shapes(sources: tuple[Source, Source], pairs: Sequence[Pair]) -> list[Comparison]:
    """A row for each pair that says whether its shapes are equal; no data is read, and no row has metrics."""
    rows = []
    for pair in pairs:
        if pair.original is None or pair.target is None:
            rows.append(_unpaired(sources, pair, Tolerance()))
            continue
        first, second = (s.info(n) for s, n in zip(sources, (pair.original, pair.target), strict=True))
        rows.append(
            Comparison(
                pair.shown or pair.original,
                pair.target,
                Status.CLOSE if first.shape == second.shape else Status.SHAPE,
                original_shape=first.shape,
                target_shape=second.shape,
                original_dtype=first.dtype.name,
                target_dtype=second.dtype.name,
                detail="only the shapes were compared" if first.shape == second.shape else "",
            )
        )
    return rows


class _Cutter:
    """Makes the pieces of a pair: one, or several when the tensors are large."""

    def __init__(
        self,
        sources: tuple[Source, Source],
        tolerances: Tolerances,
        handles: tuple[Handle | None, Handle | None] | None,
    ) -> None:
        self._sources, self._tolerances = sources, tolerances
        self._handles = handles  # None: the workers share this process's memory

    def pieces(self, number: int, pair: Pair) -> tuple[int, list[_Piece]]:
        """The bytes to be read, and the pieces."""
        names = (pair.original or "", pair.target or "")
        sizes = [_nbytes(source, name) for source, name in zip(self._sources, names, strict=True)]
        shape = self._common_shape(names) if min(sizes) > PIECE else None
        tensors = () if self._handles else tuple(map(_Shared, self._sources, names))
        whole = _Piece(number, (pair.shown, *names), tensors, self._tolerances)
        if shape is None or math.prod(shape) <= PIECE:
            return sum(sizes), [replace(whole, tensors=tensors or self._sent(names, (...,)))]
        return sum(sizes), [
            replace(whole, tensors=tensors or self._sent(names, box), box=box, corner=corner, shape=shape)
            for corner, box in boxes(shape, PIECE)
        ]

    def _sent(self, names: tuple[str, str], box: Slices) -> tuple[_InFile | _InHand, ...]:
        assert self._handles is not None
        return tuple(
            _InHand(source.read(name)[box]) if handle is None else _InFile(handle, name)
            for source, handle, name in zip(self._sources, self._handles, names, strict=True)
        )

    def _common_shape(self, names: tuple[str, str]) -> tuple[int, ...] | None:
        """The shape of both tensors; None when it differs, or cannot be told, which the worker will report."""
        try:
            shapes = {source.info(name).shape for source, name in zip(self._sources, names, strict=True)}
        except CheckpointError:
            return None
        return shapes.pop() if len(shapes) == 1 else None


def _nbytes(source: Source, name: str) -> int:
    return source.nbytes(name) if isinstance(source, NpyFolder) else source.info(name).nbytes


def _tasks(pieces: Iterable[tuple[int, list[_Piece]]]) -> Iterator[list[_Piece]]:
    """Small pairs several at a time, the boxes of a large one each by itself."""
    task: list[_Piece] = []
    weight = 0
    for size, cut in pieces:
        if len(cut) > 1:
            yield from ([piece] for piece in cut)
            continue
        task, weight = [*task, *cut], weight + size
        if weight >= _TASK or len(task) >= _TASK_PAIRS:
            yield task
            task, weight = [], 0
    if task:
        yield task


def _run(tasks: Iterator[list[_Piece]], threads: int, executor: Executor | None) -> Generator[_Outcome, None, None]:
    """The outcomes of all tasks, as they come."""
    head = list(islice(tasks, 2))
    if executor is None and (threads == 1 or len(head) < 2):
        for pieces in chain(head, tasks):
            yield from _compare(pieces)
        return

    from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ThreadPoolExecutor, wait

    own = ThreadPoolExecutor(threads, thread_name_prefix="ts-compare") if executor is None else None
    limit = 2 * threads if own else _PENDING
    pool = executor or own
    assert pool is not None
    pending: set[Future[list[_Outcome]]] = set()
    try:
        no_more: list[list[_Piece] | None] = [None]
        for task in chain(head, tasks, no_more):
            if task is not None:
                pending.add(pool.submit(_compare, task))
            while pending and (task is None or len(pending) >= limit):
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
    except BrokenExecutor as problem:
        raise ComparisonError(f"the executor lost its workers: {problem}") from problem
    finally:  # reached by Ctrl-C as well: what has not begun is dropped, what has ends within a piece
        for future in pending:
            future.cancel()
        if own is not None:
            own.shutdown(wait=True, cancel_futures=True)


def _compare(pieces: list[_Piece]) -> list[_Outcome]:
    """What a worker does."""
    return [_compare_piece(piece) for piece in pieces]


def _compare_piece(piece: _Piece) -> _Outcome:
    arrays: list[Array] = []
    try:
        arrays.extend(tensor.part(piece) for tensor in piece.tensors)
    except Exception as problem:  # whatever is wrong with one tensor must not end the comparison of the others
        return _Outcome(
            piece.pair, piece.corner, (None, None), (None, None), piece.tolerances.usual, detail=_reason(problem)
        )
    original, target = arrays
    dtypes = (original.dtype.name, target.dtype.name)
    tolerance = piece.tolerances.of(piece.names, dtypes)
    shapes = (original.shape, target.shape) if piece.corner is None else (piece.shape, piece.shape)
    outcome = _Outcome(piece.pair, piece.corner, shapes, dtypes, tolerance)
    if original.shape != target.shape:
        return replace(outcome, status=Status.SHAPE)
    work = [working_dtype(array.dtype) for array in arrays]
    if work[0] is None or work[1] is None:
        return replace(outcome, status=Status.DTYPE, detail=f"{dtypes[0]} against {dtypes[1]}")
    working = np.result_type(work[0], work[1])
    return replace(outcome, sums=measure(original, target, tolerance, piece.corner), working=working)


def _reason(problem: Exception) -> str:
    return str(problem) if isinstance(problem, TsError) else f"{type(problem).__name__}: {problem}"


def _row(pair: Pair, outcomes: list[_Outcome]) -> Comparison:
    """The row of a pair from the outcomes of its pieces, which are added in one order whoever was first."""
    outcomes.sort(key=lambda outcome: outcome.corner or ())
    first = next((outcome for outcome in outcomes if outcome.sums is None), outcomes[0])
    row = Comparison(
        pair.shown or pair.original,
        pair.target,
        first.status,
        original_shape=first.shapes[0],
        target_shape=first.shapes[1],
        original_dtype=first.dtypes[0],
        target_dtype=first.dtypes[1],
        tolerance=first.tolerance,
    )
    if first.sums is None or first.working is None:
        return replace(row, detail=first.detail)
    total = Sums()
    for outcome in outcomes:
        assert outcome.sums is not None
        total.add(outcome.sums)
    metrics = total.metrics(first.working)
    return replace(row, status=Status.CLOSE if metrics.allclose else Status.DIFFERENT, metrics=metrics)


def _unpaired(sources: tuple[Source, Source], pair: Pair, tolerance: Tolerance) -> Comparison:
    """The row of a tensor that has no partner."""
    side = 0 if pair.target is None else 1
    info, detail = pair.info, pair.excuse
    try:
        info = info or sources[side].info(pair.original or pair.target or "")
    except CheckpointError as problem:
        detail = str(problem)
    row = Comparison(
        pair.shown or pair.original,
        pair.target,
        Status.NOT_APPLICABLE if pair.excuse else (Status.NOT_IN_TARGET, Status.NOT_IN_ORIGINAL)[side],
        tolerance=tolerance,
        detail=detail,
    )
    if info is None:
        return row
    if side == 0:
        return replace(row, original_shape=info.shape, original_dtype=info.dtype.name)
    return replace(row, target_shape=info.shape, target_dtype=info.dtype.name)


def _check_workers(workers: object, executor: object) -> int:
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ArgumentTypeError(f"executor must be a concurrent.futures.Executor, not {type(executor).__name__}")
    if workers is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not isinstance(workers, int) or isinstance(workers, bool):
        raise ArgumentTypeError(f"workers must be an int, not {type(workers).__name__}")
    if workers < 1:
        raise ArgumentError(f"workers must be at least 1, not {workers}")
    return workers


def _shares_memory(executor: Executor) -> bool:
    from concurrent.futures import ThreadPoolExecutor

    return isinstance(executor, ThreadPoolExecutor)


@contextmanager
def _progress_bar(total: int, shown: bool | None) -> Iterator[Callable[[], object]]:
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, file=sys.stderr, unit="tensor") as bar:
        yield bar.update
