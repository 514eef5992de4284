"""Threads that nobody has to wait for in vain after Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from types import TracebackType
from typing import Generic, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Threads(Generic[Task, Answer]):
    """So many threads that do tasks; a context manager, which drops the tasks that have not begun.

    A KeyboardInterrupt comes between any two steps of Python code. In ``threading.Condition``, of which futures and
    their pools are made, it may come when a lock has just been taken: nobody lets it go again, and the threads that
    want it wait forever. Here, who asks touches only queues made in C, which are interrupted before or after.
    """

    def __init__(self, count: int, do: Callable[[Task], Answer]) -> None:
        self._do = do
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer | BaseException] = SimpleQueue()
        # A thread that an interrupt keeps from its first step is not waited for: neither here nor when Python ends.
        self._all = [Thread(target=self._work, daemon=True) for _ in range(count)]
        self._begun: list[Thread] = []

    def __enter__(self) -> Threads[Task, Answer]:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start the threads."""
        try:
            for thread in self._all:
                thread.start()
        except BaseException:
            self.close()
            raise

    def put(self, task: Task) -> None:
        """Have a task done; None is no task."""
        self._tasks.put(task)

    def get(self) -> Answer:
        """The answer to a task that is done, or raises what doing it raised."""
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """Drop the tasks that have not begun, and wait for those that have."""
        with suppress(Empty):
            while True:
                self._tasks.get_nowait()
        for _ in self._all:
            self._tasks.put(None)
        for thread in self._begun:
            thread.join()

    def _work(self) -> None:
        self._begun.append(current_thread())
        while (task := self._tasks.get()) is not None:
            try:
                self._answers.put(self._do(task))
            except BaseException as problem:
                self._answers.put(problem)
