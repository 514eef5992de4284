"""What everybody pays: the import, and one call of ``to_numpy``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import timeit
from collections.abc import Iterator

from benchmarks.harness import Figure, paired_ratio


def figures() -> Iterator[Figure]:
    """The cost of `import ts_core`, and of `to_numpy` on a type that was seen before."""

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    ratio, detail = paired_ratio(lambda: run("import ts_core"), lambda: run("import numpy"), runs=10)
    yield Figure("import ts_core ÷ import numpy (whole process)", ratio, 1.3, detail)

    import mindspore
    import torch

    import ts_core as ts

    tensor, cell = torch.ones(3), mindspore.Tensor([1.0, 2.0])
    for name, ours, theirs in (
        ("torch", lambda: ts.to_numpy(tensor), tensor.numpy),
        ("mindspore", lambda: ts.to_numpy(cell), cell.asnumpy),
    ):
        added = [microseconds(ours) - microseconds(theirs) for _ in range(10)]
        yield Figure(f"to_numpy adds to {name}'s own conversion (µs)", statistics.median(added), 10)


def microseconds(action: object, calls: int = 2000) -> float:
    """The mean time of one call."""
    return timeit.timeit(action, number=calls) / calls * 1e6
