"""What every benchmark shares: a figure with its limit, paired timing, and the peak of a process's anonymous memory."""

from __future__ import annotations

import pathlib
import statistics
import subprocess
import sys
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
    ours: Callable[[], object],
    baseline: Callable[[], object],
    runs: int = 5,
    warmup: int = 1,
    before: Callable[[], object] = lambda: None,
) -> tuple[float, str]:
    """The median of ours ÷ baseline over runs taken in turn, and both medians in words; `before` each, untimed."""

    def timed(action: Callable[[], object]) -> float:
        before()
        return seconds(action)

    pairs = [(timed(ours), timed(baseline)) for _ in range(warmup + runs)][warmup:]
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


def fresh_anonymous_growth(setup: str, action: str, interval: float = 0.005) -> int:
    """The same for a process of its own, in which nothing was allocated before that could be used again.

    Args:
        setup: Python source that is run first.
        action: Python source; the memory is sampled while it runs.
        interval: between samples, in seconds.

    Returns:
        The highest sum over the process and its descendants during `action`, less the sum before it, in bytes.
    """
    code = f"{setup}\nprint('ready', flush=True); input()\n{action}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        peak = start = _anonymous(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
            time.sleep(interval)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {action}")
    return peak - start


def fresh_peak(action: str) -> int:
    """The peak of the resident memory of a process of its own, or of a child of it, in bytes; mapped pages count.

    Args:
        action: Python source. It is run by way of a small process, because a child's figure starts at its parent's.
    """
    code = (
        f"{action}\nfrom resource import *\nprint(max(getrusage(w).ru_maxrss for w in (RUSAGE_SELF, RUSAGE_CHILDREN)))"
    )
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def _anonymous(process: int | str = "self") -> int:
    """RssAnon of a process and of its descendants, in bytes; 0 for one that has ended."""
    folder = pathlib.Path("/proc", str(process))
    try:
        status, command = (folder / "status").read_text(), (folder / "cmdline").read_bytes()
        children = [child for file in folder.glob("task/*/children") for child in file.read_text().split()]
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return own * 1024 + sum(_anonymous(child) for child in children if not _runs(child, command))


def _runs(process: int | str, command: bytes) -> bool:
    """Whether a child is still what its parent is: until it runs a program of its own, they share their memory."""
    try:
        return pathlib.Path("/proc", str(process), "cmdline").read_bytes() == command
    except OSError:
        return False
