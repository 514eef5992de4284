"""What every benchmark shares: a figure with its limit, paired timing, and the peak of a process's anonymous memory."""

from __future__ import annotations

import pathlib
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number and the limit it must keep.

    Attributes:
        name: what was measured, against what.
        value: the ratio (or, for memory, MiB) that came out.
        limit: the largest value that passes.
        detail: the absolute numbers behind it, for the reader.
    """

    name: str
    value: float
    limit: float
    detail: str = ""

    def __bool__(self) -> bool:
        return self.value <= self.limit


def seconds(action: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def paired_ratio(
    ours: Callable[[], object], baseline: Callable[[], object], runs: int = 5, warmup: int = 1
) -> tuple[float, str]:
    """The median of ours ÷ baseline over runs taken in turn, and both medians in words."""
    for _ in range(warmup):
        ours()
        baseline()
    pairs = [(seconds(ours), seconds(baseline)) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return ratio, f"{a:.4g} s against {b:.4g} s"


def anonymous_growth(action: Callable[[], object], interval: float = 0.005) -> int:
    """By how many bytes the anonymous memory of this process and its children grew at most while an action ran.

    Memory-mapped files do not count: the kernel may drop their pages at any time. Sampled in a thread; Linux only.
    """
    done = threading.Event()
    peak = start = _anonymous()

    def sample() -> None:
        nonlocal peak
        while not done.wait(interval):
            peak = max(peak, _anonymous())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        action()
    finally:
        done.set()
        sampler.join()
    return peak - start


def _anonymous() -> int:
    """RssAnon of this process and of its children, in bytes."""
    processes = [pathlib.Path("/proc/self")]
    for task in pathlib.Path("/proc/self/task").iterdir():
        processes += [pathlib.Path("/proc", child) for child in (task / "children").read_text().split()]
    total = 0
    for process in processes:
        try:
            status = (process / "status").read_text()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return total * 1024
