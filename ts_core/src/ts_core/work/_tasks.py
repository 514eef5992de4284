"""Tasks spread over threads, processes of our own, or an executor of the caller's; and how far they have come."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from itertools import chain, islice
from typing import TypeVar

from ts_core.errors import ArgumentError, ArgumentTypeError, TsError, WorkerWarning, warn
from ts_core.threads import Threads
from ts_core.work._processes import Crew

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_PENDING = 64  # tasks handed at a time to an executor, whose number of workers is not known


def run(
    tasks: Iterable[Task],
    do: Callable[[Task], Answer],
    *,
    threads: int,
    processes: int = 1,
    portable: Callable[[Task], Task | None] = lambda task: task,
    executor: Executor | None = None,
    error: type[TsError] = TsError,
) -> Generator[Answer, None, None]:
    """The answers to all tasks, as they come. To be closed: what has not begun is then dropped.

    Args:
        tasks: made when there is somebody to do them.
        do: does one; for other processes a function of a module.
        threads: how many, without an executor; 1: the thread that asks.
        processes: how many in all, instead of so many threads; see :class:`Crew`.
        portable: what goes to another process of ours instead of a task.
        executor: does them all; it is not shut down.
        error: raised when the executor loses its workers.
    """
    todo = iter(tasks)
    head = list(islice(todo, 2))
    todo = chain(head, todo)
    if executor is not None:
        yield from _by_executor(todo, do, executor, error)
    elif threads == 1 or len(head) < 2:
        yield from map(do, todo)
    elif processes > 1:
        with closing(Crew(processes, do, portable)) as crew:
            yield from _by_threads(todo, crew.do, processes)
        if crew.lost:
            warn(WorkerWarning(f"workers were lost: {len(crew.lost)}; their share was done here ({crew.lost[0]})"))
    else:
        yield from _by_threads(todo, do, threads)


def _by_threads(tasks: Iterator[Task], do: Callable[[Task], Answer], count: int) -> Iterator[Answer]:
    with Threads(count, do) as threads:
        waiting = 0
        for task in tasks:
            threads.put(task)
            waiting += 1
            if waiting == 2 * count:
                yield threads.get()
                waiting -= 1
        for _ in range(waiting):
            yield threads.get()


def _by_executor(
    tasks: Iterator[Task], do: Callable[[Task], Answer], executor: Executor, error: type[TsError]
) -> Iterator[Answer]:
    pending: set[Future[Answer]] = set()
    no_more: list[Task | None] = [None]
    try:
        for task in chain(tasks, no_more):
            if task is not None:
                pending.add(executor.submit(do, task))
            while pending and (task is None or len(pending) >= _PENDING):
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
    except BrokenExecutor as problem:
        raise error(f"the executor lost its workers: {problem}") from problem
    finally:
        for future in pending:
            future.cancel()


def check_workers(workers: object, executor: object) -> None:
    """Check what a caller asked for.

    Raises:
        ArgumentTypeError: `workers` is no int, or `executor` no executor.
        ArgumentError: `workers` is less than 1.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ArgumentTypeError(f"executor must be a concurrent.futures.Executor, not {type(executor).__name__}")
    if workers is None:
        return
    if not isinstance(workers, int) or isinstance(workers, bool):
        raise ArgumentTypeError(f"workers must be an int, not {type(workers).__name__}")
    if workers < 1:
        raise ArgumentError(f"workers must be at least 1, not {workers}")


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def shares_memory(executor: Executor | None) -> bool:
    """Whether who does the tasks sees the objects of this process."""
    return executor is None or isinstance(executor, ThreadPoolExecutor)


@contextmanager
def progress_bar(total: int, unit: str, shown: bool | None) -> Iterator[Callable[[], object]]:
    """A function to call after each step, which moves a bar on stderr; with a `shown` of None if it is a terminal."""
    if sys.stderr is None or not (sys.stderr.isatty() if shown is None else shown):  # None: a program without a console
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, file=sys.stderr, unit=unit) as bar:
        yield bar.update
