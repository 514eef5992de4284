"""Comparing: two checkpoints of 1 GB, many small files, long alignments, and the command line."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import ts_core as ts
from benchmarks.harness import Figure, anonymous_growth, fresh_peak, paired_ratio, seconds
from ts_core.comparison import align

# A decoder of 24 layers: 218 tensors, 267 million elements, 1.07 GB of float32.
_WIDTH = 944
_LAYERS = {
    "q.weight": (_WIDTH, _WIDTH),
    "k.weight": (_WIDTH, _WIDTH),
    "v.weight": (_WIDTH, _WIDTH),
    "o.weight": (_WIDTH, _WIDTH),
    "up.weight": (4 * _WIDTH, _WIDTH),
    "down.weight": (_WIDTH, 4 * _WIDTH),
    "conv.weight": (_WIDTH, _WIDTH // 16, 5),
    "norm1.weight": (_WIDTH,),
    "norm2.weight": (_WIDTH,),
}
_SHAPES = {f"layers.{i}.{name}": shape for i in range(24) for name, shape in _LAYERS.items()}
_SHAPES |= {"embedding.weight": (8192, _WIDTH), "norm.weight": (_WIDTH,)}
_NOISE = 1e-5
_RESIDENT = 256  # MiB that comparing may take beyond the largest tensor

Tensors = dict[str, np.ndarray[Any, np.dtype[Any]]]


def figures() -> Iterator[Figure]:
    """Every figure of this room."""
    with tempfile.TemporaryDirectory(prefix="ts-bench-") as folder:
        yield from _checkpoints(Path(folder))
    with tempfile.TemporaryDirectory(prefix="ts-bench-") as folder:
        yield from _small_files(Path(folder))
    yield from _alignment()
    with tempfile.TemporaryDirectory(prefix="ts-bench-") as folder:
        yield from _command(Path(folder))


def _checkpoints(folder: Path) -> Iterator[Figure]:
    original, target, copy = (str(folder / name) for name in ("original.ckpt", "target.ckpt", "copy.ckpt"))
    rng = np.random.default_rng(0)
    tensors = {name: rng.standard_normal(shape, np.float32) for name, shape in _SHAPES.items()}
    noisy = {name: array + _NOISE * rng.standard_normal(array.shape, np.float32) for name, array in tensors.items()}
    ts.save_checkpoint(tensors, original)
    ts.save_checkpoint(noisy, target)
    subprocess.run(["cp", original, copy], check=True)

    def ckpt_against_ckpt() -> None:
        assert ts.compare(original, target, progress=False)

    growth = anonymous_growth(ckpt_against_ckpt) / 2**20
    yield Figure("compare of two checkpoints of 1 GB: growth of anonymous memory (MiB)", growth, 128)

    ratio, detail = paired_ratio(ckpt_against_ckpt, lambda: subprocess.run(["cmp", original, copy], check=True))
    yield Figure("compare of two checkpoints of 1 GB ÷ cmp", ratio, 2, detail)

    def in_memory() -> int:
        return sum(int(np.isclose(a, b).sum()) for a, b in zip(tensors.values(), noisy.values(), strict=True))

    ratio, detail = paired_ratio(ckpt_against_ckpt, in_memory, runs=3, warmup=0)
    yield Figure("compare of two checkpoints of 1 GB ÷ numpy.isclose in memory", ratio, 0.8, detail)

    yield _resident(original, target, "two checkpoints of 1 GB", max(array.nbytes for array in tensors.values()))
    yield from _layouts(folder, tensors, target, ckpt_against_ckpt)
    yield from _one_tensor(folder, ckpt_against_ckpt)


def _resident(original: str, target: str, what: str, largest: int, steps: ts.WeightMap | None = None) -> Figure:
    pair = None if steps is None else steps.to_pair()
    action = f"import ts_core as ts; assert ts.compare({original!r}, {target!r}, weight_map={pair!r}, progress=False)"
    peak = fresh_peak(action) / 2**20
    return Figure(f"{what}: peak of resident memory (MiB)", peak, largest / 2**20 + _RESIDENT)


def _layouts(folder: Path, tensors: Tensors, target: str, plain: Callable[[], None]) -> Iterator[Figure]:
    import torch

    pth, ckpt = str(folder / "net.pth"), str(folder / "mapped.ckpt")
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, pth)
    names = {name: name for name in tensors}
    inserted = {name: {"transform": "insert_axis", "axis": 2} for name in names if "conv" in name}
    steps = ts.WeightMap.from_pair(names, inserted)
    with ts.open_checkpoint(target) as opened:
        ts.save_checkpoint(steps.apply(opened), ckpt)

    def pth_against_ckpt() -> None:
        assert ts.compare(pth, ckpt, weight_map=steps, progress=False)

    ratio, detail = paired_ratio(pth_against_ckpt, plain)
    yield Figure("pth against ckpt through a map that inserts axes ÷ ckpt against ckpt", ratio, 1.2, detail)

    transposed = inserted | {
        name: {"transform": "transpose", "axes": [1, 0]} for name in names if len(tensors[name].shape) == 2
    }
    steps = ts.WeightMap.from_pair(names, transposed)
    with ts.open_checkpoint(target) as opened:
        ts.save_checkpoint(steps.apply(opened), ckpt)
    ratio, detail = paired_ratio(pth_against_ckpt, plain)
    # More than the axes that two frameworks' layers differ by: here every element is copied against the grain.
    yield Figure("the same through a map that transposes every matrix", ratio, 1.2, detail)
    yield _resident(pth, ckpt, "the same", max(array.nbytes for array in tensors.values()), steps)


def _one_tensor(folder: Path, many: Callable[[], None]) -> Iterator[Figure]:
    size = sum(int(np.prod(shape)) for shape in _SHAPES.values())
    rng = np.random.default_rng(1)
    one = rng.standard_normal((size // 1024, 1024), np.float32)
    original, target = (str(folder / name) for name in ("one.ckpt", "other.ckpt"))
    ts.save_checkpoint({"embedding": one}, original)
    one += _NOISE * rng.standard_normal(one.shape, np.float32)
    ts.save_checkpoint({"embedding": one}, target)
    del one

    def single() -> None:
        assert ts.compare(original, target, progress=False)

    ratio, detail = paired_ratio(single, many)
    yield Figure("one tensor of 1 GB ÷ 218 of the same total", ratio, 1.3, detail)
    growth = anonymous_growth(single) / 2**20
    yield Figure("one tensor of 1 GB: growth of anonymous memory (MiB)", growth, 128)
    yield _resident(original, target, "one tensor of 1 GB", 4 * size)


def _small_files(folder: Path, count: int = 10_000) -> Iterator[Figure]:
    rng = np.random.default_rng(2)
    folders = folder / "original", folder / "target"
    for place in folders:
        place.mkdir()
    for i in range(count):
        array = rng.standard_normal(256).astype(np.float32)
        for place in folders:
            np.save(place / f"tensor_float32_{i}.npy", array)

    def ours() -> None:
        assert ts.compare(*folders, progress=False)

    def baseline() -> None:
        for i in range(count):
            for place in folders:
                np.load(place / f"tensor_float32_{i}.npy")

    ratio, detail = paired_ratio(ours, baseline)
    yield Figure(f"ts.compare of {count:,} pairs of 1 KB files ÷ two np.load each", ratio, 3, detail)

    def guide() -> None:
        from contextlib import redirect_stderr, redirect_stdout
        from io import StringIO

        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            assert ts.migrator.compare_npy_dir(*folders)

    ratio, detail = paired_ratio(guide, baseline)
    yield Figure(f"compare_npy_dir of {count:,} pairs, with its table ÷ two np.load each", ratio, 3, detail)


def _alignment(length: int = 5_000) -> Iterator[Figure]:
    rng = np.random.default_rng(3)
    shapes = [(int(n), 64) for n in rng.integers(1, 40, length)]
    other = [shape for shape in shapes if rng.random() > 0.02]
    other += shapes[: length - len(other)]
    took = min(seconds(lambda: align(shapes, other)) for _ in range(3))
    yield Figure(f"alignment of {length:,} against {length:,} shapes (s)", took, 1.5)
    tracemalloc.start()
    align(shapes, other)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    yield Figure(f"alignment of {length:,} against {length:,} shapes (MiB)", peak, 286)


def _command(folder: Path) -> Iterator[Figure]:
    names = str(folder / "original.ckpt"), str(folder / "target.ckpt")
    for name in names:
        ts.save_checkpoint({f"layers.{i}.weight": np.ones((8, 8), np.float32) for i in range(5)}, name)

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    ratio, detail = paired_ratio(
        lambda: run("-m", "ts_core", "compare", *names), lambda: run("-c", "import numpy"), runs=10
    )
    yield Figure("ts compare of two small checkpoints ÷ import numpy (whole processes)", ratio, 4, detail)
