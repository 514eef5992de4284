"""Checkpoints: converting against copying, memory while converting, opening and writing against MindSpore itself.

The state dict is a transformer in float32: about 1 GB in 220 tensors. *Copy* is ``cp`` and an fsync of the result,
because a conversion ends with an fsync too. Sources are in the page cache.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import ts_core as ts
from benchmarks.harness import Figure, fresh_anonymous_growth, fresh_peak, paired_ratio

_WIDTH, _VOCABULARY, _LAYERS = 1024, 32000, 18
_MIB = 1 << 20
_ROUTES = ((".pth", ".ckpt"), (".ckpt", ".safetensors"), (".safetensors", ".ckpt"), (".ckpt", ".pth"))
_SMALL = 10_000  # tensors


def figures() -> Iterator[Figure]:
    """Wall time and memory of conversions; reading and writing MindSpore's own format."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TS_BENCH_DIR")) as name:
        folder = Path(name)
        _write_sources(folder / "one", 1)
        yield from _times(folder / "one")
        yield from _reading(folder / "one.ckpt")
        grown = {route: _growth(folder / "one", *route) for route in _ROUTES}
        for suffix in (".pth", ".ckpt", ".safetensors"):
            (folder / f"one{suffix}").unlink()
        _write_sources(folder / "three", 3)
        for (source, destination), (small, largest) in grown.items():
            large, _ = _growth(folder / "three", source, destination)
            route = f"{source} to {destination}"
            yield Figure(f"{route}, 1 GB: growth of RssAnon (MiB)", small, largest + 64)
            yield Figure(f"{route}, 3 GB: growth of RssAnon (MiB)", large, largest + 64)
            yield Figure(
                f"{route}, 3 GB: peak of resident memory (MiB)", _peak(folder, source, destination), largest + 256
            )
            yield Figure(f"{route}: growth from 1 GB to 3 GB (MiB)", large - small, 8)
        for suffix in (".pth", ".ckpt", ".safetensors"):
            (folder / f"three{suffix}").unlink()
        yield from _small_tensors(folder)


def _shapes(size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = _WIDTH
    yield "embedding.weight", (_VOCABULARY, width)
    for layer in range(_LAYERS * size):
        for name, shape in (
            *((f"attention.{part}", (width, width)) for part in ("query", "key", "value", "output")),
            *((f"norm{n}", (width,)) for n in (1, 2)),
            ("up", (4 * width, width)),
            ("down", (width, 4 * width)),
        ):
            yield f"layers.{layer}.{name}.weight", shape
            if len(shape) == 1 or name in ("up", "down"):
                yield f"layers.{layer}.{name}.bias", shape[:1]
    yield "norm.weight", (width,)
    yield "norm.bias", (width,)
    yield "position.weight", (2048, width)


def _write_sources(path: Path, size: int) -> None:
    """The same state dict as ``.pth`` (by torch), ``.ckpt`` and ``.safetensors``."""
    import torch

    generator = torch.Generator().manual_seed(0)
    torch.save(
        {name: torch.rand(shape, generator=generator) for name, shape in _shapes(size)}, path.with_suffix(".pth")
    )
    for suffix in (".ckpt", ".safetensors"):
        ts.convert(path.with_suffix(".pth"), path.with_suffix(suffix), progress=False)


def _copy(source: Path, destination: Path) -> None:
    subprocess.run(["cp", source, destination], check=True)
    descriptor = os.open(destination, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _times(path: Path) -> Iterator[Figure]:
    for source, destination in _ROUTES:
        origin = path.with_suffix(source)
        copied, converted = path.with_name("copy"), path.with_name(f"converted{destination}")

        def clean(left: tuple[Path, Path] = (copied, converted), warm: Path = origin) -> None:
            for file in left:
                file.unlink(missing_ok=True)
            os.sync()
            subprocess.run(["cat", warm], stdout=subprocess.DEVNULL, check=True)

        def convert(a: Path = origin, b: Path = converted) -> None:
            ts.convert(a, b, progress=False)

        def copy(a: Path = origin, b: Path = copied) -> None:
            _copy(a, b)

        ratio, detail = paired_ratio(convert, copy, runs=7, before=clean)
        clean()
        yield Figure(f"{source} to {destination} ÷ copy", ratio, 1.5, detail)


def _growth(path: Path, source: str, destination: str) -> tuple[float, float]:
    """The growth of anonymous memory while converting, and the size of the largest tensor, in MiB."""
    origin, result = path.with_suffix(source), path.with_name(f"converted{destination}")
    with ts.open_checkpoint(origin) as checkpoint:
        largest = max(info.nbytes for info in checkpoint.index.values())
    grown = fresh_anonymous_growth(
        "import ts_core as ts; ts.convert", f"ts.convert({str(origin)!r}, {str(result)!r}, progress=False)"
    )
    result.unlink()
    return grown / _MIB, largest / _MIB


def _peak(folder: Path, source: str, destination: str) -> float:
    """The most memory that a conversion takes, pages of mapped files included, in MiB."""
    origin, result = folder / f"three{source}", folder / f"converted{destination}"
    peak = fresh_peak(f"import ts_core as ts; ts.convert({str(origin)!r}, {str(result)!r}, progress=False)")
    result.unlink()
    return peak / _MIB


def _read_all(path: Path) -> None:
    with ts.open_checkpoint(path) as checkpoint:
        for array in checkpoint.values():
            np.bitwise_or.reduce(array.reshape(-1).view(np.uint8))  # bytes need no alignment


def _reading(path: Path) -> Iterator[Figure]:
    ratio, detail = paired_ratio(lambda: _read_all(path), _loader(path), runs=3)
    yield Figure("opening a .ckpt and reading every byte ÷ mindspore.load_checkpoint", ratio, 0.1, detail)


def _loader(path: Path) -> Callable[[], Any]:
    import mindspore

    return lambda: mindspore.load_checkpoint(str(path))


def _small_tensors(folder: Path) -> Iterator[Figure]:
    import mindspore

    ours, theirs = folder / "ours.ckpt", folder / "theirs.ckpt"
    tensors = {f"layers.{n}.weight": mindspore.Tensor(np.full((8, 8), n, np.float32)) for n in range(_SMALL)}
    listed = [{"name": name, "data": tensor} for name, tensor in tensors.items()]
    ratio, detail = paired_ratio(
        lambda: ts.save_checkpoint(tensors, ours), lambda: mindspore.save_checkpoint(listed, str(theirs))
    )
    yield Figure("writing 10,000 small tensors ÷ mindspore.save_checkpoint", ratio, 0.5, detail)
    ratio, detail = paired_ratio(lambda: ts.open_checkpoint(theirs).close(), _loader(theirs))
    yield Figure("opening 10,000 small tensors ÷ mindspore.load_checkpoint", ratio, 0.25, detail)
