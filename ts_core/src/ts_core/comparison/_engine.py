"""Who compares what: pairs become pieces, pieces are spread over threads or an executor, results become rows.

Small pairs travel together in one task. Unless the caller brings an executor, the tasks go to threads; where the files
are large, each of the threads but one has a process of its own to do the work: see ``workers``.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from ts_core.comparison._folders import NpyFolder
from ts_core.comparison._metrics import Sums, Tolerance
from ts_core.comparison._pieces import (
    Cutter,
    Handle,
    Outcome,
    Pair,
    Piece,
    Source,
    Tolerances,
    compare_pieces,
    in_files,
)
from ts_core.comparison._report import Comparison, Status
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError, ComparisonError
from ts_core.work import SHARE, Crew

if TYPE_CHECKING:
    from concurrent.futures import Executor

_TASK = 1 << 23  # bytes of small pairs that travel together
_TASK_PAIRS = 256
_THREADED = 1 << 18  # bytes of a pair below which threads only wait for each other: more of it is Python than NumPy
_PENDING = 64  # tasks handed at a time to an executor, whose number of workers is not known


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
        workers: the number of threads, or of processes where the files are large enough; by default one for each
            processor that this process may use, but one alone for small tensors.
        executor: used instead; it is not shut down.
        progress: whether to show a progress bar on stderr; None: when that is a terminal.

    Returns:
        A row for each pair, in their order.

    Raises:
        ArgumentTypeError: `workers` is no int, or `executor` no executor.
        ArgumentError: `workers` is less than 1.
        ComparisonError: the executor lost its workers.
    """
    _check_workers(workers, executor)
    sizes = [_sizes(sources, pair) for pair in pairs]
    total = sum(map(sum, sizes))
    threads = workers or (_processors() if total >= _THREADED * len(pairs) else 1)
    processes = 1 if executor is not None or None in handles else min(threads, total // SHARE)
    rows: dict[int, Comparison] = {}
    expected: dict[int, int] = {}  # how many pieces a pair has
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    cutter = Cutter(sources, tolerances, handles if executor is not None and not _shares_memory(executor) else None)

    def pieces() -> Iterator[tuple[int, list[Piece]]]:
        for number, (pair, size) in enumerate(zip(pairs, sizes, strict=True)):
            if pair.original is not None and pair.target is not None:
                cut = cutter.pieces(number, pair, size)
                expected[number] = len(cut)
                yield sum(size), cut

    with _progress_bar(len(pairs), progress) as advance:
        for number, pair in enumerate(pairs):
            if pair.original is None or pair.target is None:
                rows[number] = _unpaired(sources, pair, tolerances.usual)
                advance()
        with closing(_run(_tasks(pieces()), threads, executor, processes)) as outcomes:
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


def _tasks(pieces: Iterable[tuple[int, list[Piece]]]) -> Iterator[list[Piece]]:
    """Small pairs several at a time, the boxes of a large one each by itself."""
    task: list[Piece] = []
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


def _run(
    tasks: Iterator[list[Piece]], threads: int, executor: Executor | None, processes: int
) -> Generator[Outcome, None, None]:
    """The outcomes of all tasks, as they come; by the executor, by several processes, or by threads."""
    head = list(islice(tasks, 2))
    if executor is None and (threads == 1 or len(head) < 2):
        for pieces in chain(head, tasks):
            yield from compare_pieces(pieces)
        return

    from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ThreadPoolExecutor, wait

    with ExitStack() as ours:  # left by Ctrl-C as well: what has not begun is dropped, what has ends within a piece
        pool, limit = executor, _PENDING
        compare: Callable[[list[Piece]], list[Outcome]] = compare_pieces
        if processes > 1:
            threads = processes
            compare = ours.enter_context(closing(Crew(processes, compare_pieces, in_files))).do
        if pool is None:
            pool, limit = ThreadPoolExecutor(threads, thread_name_prefix="ts-compare"), 2 * threads
            ours.callback(pool.shutdown, wait=True, cancel_futures=True)
        pending: set[Future[list[Outcome]]] = set()
        ours.callback(lambda: [future.cancel() for future in pending])
        no_more: list[list[Piece] | None] = [None]
        try:
            for task in chain(head, tasks, no_more):
                if task is not None:
                    pending.add(pool.submit(compare, task))
                while pending and (task is None or len(pending) >= limit):
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
        except BrokenExecutor as problem:
            raise ComparisonError(f"the executor lost its workers: {problem}") from problem


def _row(pair: Pair, outcomes: list[Outcome]) -> Comparison:
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


def _sizes(sources: tuple[Source, Source], pair: Pair) -> tuple[int, int]:
    """The bytes of both tensors of a pair; 0 when one has no partner."""
    if pair.original is None or pair.target is None:
        return 0, 0
    return _nbytes(sources[0], pair.original), _nbytes(sources[1], pair.target)


def _nbytes(source: Source, name: str) -> int:
    return source.nbytes(name) if isinstance(source, NpyFolder) else source.info(name).nbytes


def _check_workers(workers: object, executor: object) -> None:
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ArgumentTypeError(f"executor must be a concurrent.futures.Executor, not {type(executor).__name__}")
    if workers is None:
        return
    if not isinstance(workers, int) or isinstance(workers, bool):
        raise ArgumentTypeError(f"workers must be an int, not {type(workers).__name__}")
    if workers < 1:
        raise ArgumentError(f"workers must be at least 1, not {workers}")


def _processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _shares_memory(executor: Executor) -> bool:
    from concurrent.futures import ThreadPoolExecutor

    return isinstance(executor, ThreadPoolExecutor)


@contextmanager
def _progress_bar(total: int, shown: bool | None) -> Iterator[Callable[[], object]]:
    if sys.stderr is None or not (sys.stderr.isatty() if shown is None else shown):  # None: a program without a console
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, file=sys.stderr, unit="tensor") as bar:
        yield bar.update
