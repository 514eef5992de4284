"""``ts.save`` against ``np.save``: many small tensors, and one large one."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import ts_core as ts
from benchmarks.harness import Figure, paired_ratio

SMALL = np.arange(1024, dtype=np.float32)  # 4 KB
CALLS = 1000
GB = 1 << 30
MIB = 1 << 20


def figures() -> Iterator[Figure]:
    """Time of small saves and of a large one, and the memory that the large one adds."""
    yield from _small()
    yield from _large()


def _small() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench_saving_") as name:
        folder, count = Path(name), itertools.count()

        def ours() -> None:
            for _ in range(CALLS):
                ts.save(folder / "ours", SMALL)

        def numpys() -> None:
            for _ in range(CALLS):
                np.save(folder / f"numpy_{next(count)}.npy", SMALL)

        ratio, detail = paired_ratio(ours, numpys, runs=7)
        yield Figure(f"{CALLS} saves of 4 KB ÷ np.save", ratio, 2.0, detail)


def _large() -> Iterator[Figure]:
    array = np.ones(GB // 4, np.float32)
    with tempfile.TemporaryDirectory(prefix="bench_saving_") as name:
        folder = Path(name)

        def emptied(action: Callable[[], object]) -> Callable[[], None]:
            def run() -> None:
                action()
                shutil.rmtree(folder)  # part of both sides; two files of 1 GB never lie side by side
                folder.mkdir()

            return run

        save = emptied(lambda: ts.save(folder / "ours", array))
        ratio, detail = paired_ratio(save, emptied(lambda: np.save(folder / "numpy.npy", array)), runs=5)
        yield Figure("one save of 1 GB ÷ np.save", ratio, 1.1, detail)
        added = _peak_added(save) / MIB
        yield Figure("anonymous memory that a save of 1 GB adds, MiB", added, 64.0)


def _peak_added(action: Callable[[], object]) -> int:
    """The most anonymous memory, in bytes, that the process held during an action beyond what it held before."""
    before, peak, done = _anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, _anonymous())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    action()
    done.set()
    watcher.join()
    return max(peak - before, 0)


def _anonymous() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024
