"""Processes of our own that share work on large files.

Threads do not share it well: NumPy takes the interpreter's lock between its calls, which last some tens of microseconds
here, and to hand the lock over may take as long. The pools of ``multiprocessing`` run the user's script once more in
every worker unless it guards against that. A worker of ours is a bare interpreter that imports this package and nothing
of the user's. Arrays are not sent to it, but where they lie in their file.
"""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np

import ts_core
from ts_core.contract.arrays import Array
from ts_core.contract.byte_sources import MappedFile, place_of
from ts_core.log import LOGGER

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Ints = tuple[int, ...]

SHARE = 1 << 29  # bytes to be read for which one more process is worth its start

_START = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from ts_core.work import _processes
_processes.serve()
"""
# The blocks of a comparison are too small for the threads of a BLAS, each of which would take memory.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Crew(Generic[Task, Answer]):
    """This process and others, each of which does one task at a time.

    Args:
        size: how many processes in all, at least 1.
        do: does a task; a function of a module of this package.
        portable: the task with every array in it in hand, for a process that gets an array as the place in its file;
            None when one is unreadable, which is told by who does the task here.

    Attributes:
        lost: why each worker that is no more could not be kept.
    """

    def __init__(self, size: int, do: Callable[[Task], Answer], portable: Callable[[Task], Task | None]) -> None:
        self._do, self._portable = do, portable
        self.lost: list[str] = []
        self._workers = [_Worker(do) for _ in range(size - 1)] if _can_start() else []
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()
        for worker in (*[None] * (size - len(self._workers)), *self._workers):
            self._idle.put(worker)

    def do(self, task: Task) -> Answer:
        """The answer to a task, from whoever is idle: for as many threads as there are processes."""
        worker = self._idle.get()
        try:
            sent = None if worker is None else self._portable(task)
            return self._do(task) if worker is None or sent is None else worker.do(sent)
        except _WorkerLostError as problem:
            worker = None  # it could not start, or was killed, perhaps for want of memory: we go on without it
            self.lost.append(str(problem))
            LOGGER.warning("a worker was lost (%s); its share is done in this process", problem)
            return self._do(task)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End the other processes."""
        for worker in self._workers:
            worker.close()


def _can_start() -> bool:
    """Whether ``sys.executable`` is an interpreter: in an application that embeds Python it is the application."""
    name = os.path.basename(sys.executable or "").lower()  # noqa: PTH119 - it is a str, or None
    return ("python" in name or "pypy" in name) and not getattr(sys, "frozen", False)


class _WorkerLostError(Exception):
    """A worker cannot be started or does not answer."""


class _Worker:
    """Another process, at the other end of two pipes; it is started by its first task."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._process: subprocess.Popen[bytes] | None = None

    def do(self, task: Any) -> Any:
        """The function's answer there. Raises _WorkerLostError."""
        try:
            self._process = self._process or _start(self._function)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            _Pickler(self._process.stdin).dump(task)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)  # noqa: S301 - it is our own process
        except Exception as problem:  # it died, or it is no worker of ours and answers anything
            raise _WorkerLostError(f"{type(problem).__name__}: {problem}") from problem

    def close(self) -> None:
        """End the process, which has nothing of its own to put in order."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _start(function: Callable[..., Any]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603 - nothing but our own code
        [sys.executable, "-IS", "-c", _START],  # -IS: without the user's settings and start-up files
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | _ONE_THREAD,
        start_new_session=True,  # Ctrl-C is for us; the worker ends when its standard input does
    )
    assert process.stdin is not None
    folders = [entry for entry in sys.path if isinstance(entry, str)]  # imports pass over anything else
    pickle.dump([*folders, str(Path(ts_core.__file__).parents[1])], process.stdin)
    pickle.dump(function, process.stdin)
    return process


def serve() -> None:
    """Do what comes in through standard input, until that ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not come between the answers
    do = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return
        pickle.dump(do(task), answers)
        answers.flush()


class _Pickler(pickle.Pickler):
    """Pickles arrays in mapped files as where they lie."""

    def reducer_override(self, subject: Any) -> Any:
        if not isinstance(subject, np.ndarray) or (place := place_of(subject)) is None:
            return NotImplemented
        file, offset = place
        return _array, (file.path, file.identity, offset, subject.shape, subject.strides, subject.dtype)


def _array(path: str, identity: Ints, offset: int, shape: Ints, strides: Ints, dtype: np.dtype[Any]) -> Array:
    """An array where it lies in its file. Raises FileNotFoundError when there is another file of that name now."""
    file = _mapped(path)
    if file.identity != identity:
        raise FileNotFoundError(path)
    return file.array(offset, shape, dtype, strides)


@functools.lru_cache(maxsize=64)
def _mapped(path: str) -> MappedFile:
    return MappedFile(Path(path))
