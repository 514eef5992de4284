"""What every benchmark shares: a figure with its limit, paired timing, and the peak of a process's anonymous memory."""

from __future__ import annotations

import statistics
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
