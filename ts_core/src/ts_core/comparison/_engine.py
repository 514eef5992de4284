"""Who compares what: pairs become pieces, pieces are spread over threads or an executor, results become rows.

Small pairs travel together in one task. Unless the caller brings an executor, the tasks go to threads; where the files
are large, each of the threads but one has a process of its own to do the work: see ``workers``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from itertools import chain

from ts_core.comparison._metrics import Sums, Tolerance
from ts_core.comparison._pieces import Cutter, Outcome, Pair, Piece, Tolerances, compare_pieces, in_files
from ts_core.comparison._report import Comparison, Status
from ts_core.contract.readers import LazyTensors
from ts_core.errors import CheckpointError, ComparisonError
from ts_core.work import SHARE, check_workers, processors, progress_bar, run, shares_memory

_TASK = 1 << 23  # bytes of small pairs that travel together
_TASK_PAIRS = 256
_THREADED = 1 << 18  # bytes of a pair below which threads only wait for each other: more of it is Python than NumPy


def compare_pairs(
    sources: tuple[LazyTensors, LazyTensors],
    pairs: Sequence[Pair],
    tolerances: Tolerances,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool | None = True,
) -> list[Comparison]:
    """Compare every pair of names that the two sources know: a row for each, in their order.

    `workers` and `executor` are those of ``ts.compare``; a `progress` of None shows a bar if stderr is a terminal.

    Raises:
        ArgumentTypeError: `workers` is no int, or `executor` no executor.
        ArgumentError: `workers` is less than 1.
        ComparisonError: the executor lost its workers.
    """
    check_workers(workers, executor)
    sizes = [_sizes(sources, pair) for pair in pairs]
    total = sum(map(sum, sizes))
    threads = workers or (processors() if total >= _THREADED * len(pairs) else 1)
    in_files_both = all(source.travels for source in sources)
    processes = min(threads, total // SHARE) if executor is None and in_files_both else 1
    rows: dict[int, Comparison] = {}
    expected: dict[int, int] = {}  # how many pieces a pair has
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    cutter = Cutter(sources, tolerances, sent=not shares_memory(executor))

    def pieces() -> Iterator[tuple[int, list[Piece]]]:
        for number, (pair, size) in enumerate(zip(pairs, sizes, strict=True)):
            if pair.original is not None and pair.target is not None:
                cut = cutter.pieces(number, pair, size)
                expected[number] = len(cut)
                yield sum(size), cut

    with progress_bar(len(pairs), "tensor", progress) as advance:
        for number, pair in enumerate(pairs):
            if pair.original is None or pair.target is None:
                rows[number] = _unpaired(sources, pair, tolerances.usual)
                advance()
        answers = run(
            _tasks(pieces()),
            compare_pieces,
            threads=threads,
            processes=processes,
            portable=in_files,
            executor=executor,
            error=ComparisonError,
        )
        with closing(answers):
            for outcome in chain.from_iterable(answers):
                parts = found[outcome.pair]
                parts.append(outcome)
                if len(parts) == expected[outcome.pair]:
                    rows[outcome.pair] = _row(pairs[outcome.pair], found.pop(outcome.pair))
                    advance()
    return [rows[number] for number in range(len(pairs))]


def compare_shapes(sources: tuple[LazyTensors, LazyTensors], pairs: Sequence[Pair]) -> list[Comparison]:
    """A row for each pair that says whether its shapes are equal; no data is read, and no row has metrics."""
    rows = []
    for pair in pairs:
        if pair.original is None or pair.target is None:
            rows.append(_unpaired(sources, pair, Tolerance()))
            continue
        names = (pair.shown or pair.original, pair.target)
        try:
            first, second = sources[0].info(pair.original), sources[1].info(pair.target)
        except CheckpointError as problem:
            rows.append(Comparison(*names, Status.UNREADABLE, detail=str(problem)))
            continue
        equal = first.shape == second.shape
        status, detail = (Status.CLOSE, "only the shapes were compared") if equal else (Status.SHAPE, "")
        dtypes = (first.dtype.name, second.dtype.name)
        rows.append(Comparison(*names, status, first.shape, second.shape, *dtypes, detail=detail))
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


def _row(pair: Pair, outcomes: list[Outcome]) -> Comparison:
    """The row of a pair from the outcomes of its pieces, which are added in one order whoever was first."""
    outcomes.sort(key=lambda outcome: outcome.corner or ())
    first = next((outcome for outcome in outcomes if outcome.sums is None), outcomes[0])
    names = (pair.shown or pair.original, pair.target)
    row = Comparison(*names, first.status, *first.shapes, *first.dtypes, first.tolerance)
    if first.sums is None or first.working is None:
        return replace(row, detail=first.detail)
    total = Sums()
    for outcome in outcomes:
        assert outcome.sums is not None
        total.add(outcome.sums)
    metrics = total.metrics(first.working)
    return replace(row, status=Status.CLOSE if metrics.allclose else Status.DIFFERENT, metrics=metrics)


def _unpaired(sources: tuple[LazyTensors, LazyTensors], pair: Pair, tolerance: Tolerance) -> Comparison:
    """The row of a tensor that has no partner."""
    side = 0 if pair.target is None else 1
    info, detail = pair.info, pair.excuse
    try:
        info = info or sources[side].info(pair.original or pair.target or "")
    except CheckpointError as problem:
        detail = str(problem)
    except KeyError:  # a weight map does not lead to it
        pass
    status = Status.NOT_APPLICABLE if pair.excuse else (Status.NOT_IN_TARGET, Status.NOT_IN_ORIGINAL)[side]
    row = Comparison(pair.shown or pair.original, pair.target, status, tolerance=tolerance, detail=detail)
    if info is None:
        return row
    if side == 0:
        return replace(row, original_shape=info.shape, original_dtype=info.dtype.name)
    return replace(row, target_shape=info.shape, target_dtype=info.dtype.name)


def _sizes(sources: tuple[LazyTensors, LazyTensors], pair: Pair) -> tuple[int, int]:
    """The bytes of both tensors of a pair; 0 when one has no partner."""
    if pair.original is None or pair.target is None:
        return 0, 0
    return _nbytes(sources[0], pair.original), _nbytes(sources[1], pair.target)


def _nbytes(source: LazyTensors, name: str) -> int:
    try:
        return source.nbytes(name)
    except CheckpointError:  # which whoever compares the pair will report
        return 0
