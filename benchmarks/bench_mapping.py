"""Matching two networks: how long it takes, and how that grows with their size; comparing through a large map."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Figure, paired_ratio, seconds

# Parameters of a block, and of what surrounds the blocks.
_BLOCK, _REST = 16, 4
_SMALL, _LARGE = 1_000, 5_000
# Tensors of a comparison through a map, and the elements of each.
_NAMES, _ELEMENTS = 50_000, 4


def figures() -> Iterator[Figure]:
    """Every figure of this room."""
    yield from _matching()
    with tempfile.TemporaryDirectory(prefix="ts-bench-") as folder:
        yield from _large_maps(Path(folder))


def _large_maps(folder: Path) -> Iterator[Figure]:
    """Comparing 50,000 small tensors through a map of their names, against the same without a map."""
    import ts_core as ts

    names = [f"block.{i // 10}.layer{i % 10}.weight" for i in range(_NAMES)]
    flat = [f"tensor{i}" for i in range(_NAMES)]  # a layer of very many tensors, half of which have no partner
    original, target, steps = _mapped(names)
    files = tuple(folder / f"{side}.safetensors" for side in ("original", "target"))
    for file, tensors in zip(files, (original, target), strict=True):
        ts.save_checkpoint(tensors, file)
    scattered, others, apart = _mapped(flat)
    for title, first, second, found in (
        ("in dicts", original, target, steps),
        ("in files", *files, steps),
        ("of which half have no partner", scattered, dict(list(others.items())[::2]), apart),
    ):
        ratio, detail = paired_ratio(
            lambda a=first, b=second, m=found: ts.compare(a, b, weight_map=m, progress=False),
            lambda a=first: ts.compare(a, a, progress=False),
            runs=3,
            warmup=0,
        )
        yield Figure(f"compare of {_NAMES:,} small tensors {title} through a map ÷ without", ratio, 1.5, detail)


def _mapped(names: list[str]) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Tensors under these names, the same under others, and the map from one to the other."""
    import ts_core as ts

    original = {name: np.full(_ELEMENTS, i, np.float32) for i, name in enumerate(names)}
    target = {f"net.{name}": array for name, array in original.items()}
    return original, target, ts.WeightMap.from_pair(dict(zip(original, target, strict=True)), {})


def _matching() -> Iterator[Figure]:
    """Two networks of 5,000 parameters each; the exponent of the growth from 1,000 on."""
    import ts_core as ts

    for title, make in (("equal blocks", equal_blocks), ("stages that grow", growing_stages), ("names changed", alike)):
        times = []
        for parameters in (_SMALL, _LARGE):
            source, target = make(parameters)
            assert len(ts.parameters(source)) >= parameters
            found = ts.weight_map(source, target)
            assert len(found) >= parameters - _BLOCK
            times.append(statistics.median(seconds(lambda a=source, b=target: ts.weight_map(a, b)) for _ in range(3)))
        detail = f"{times[0]:.2f} s for {_SMALL:,}"
        yield Figure(f"{title}: seconds to match two networks of {_LARGE:,} parameters", times[1], 2, detail)
        exponent = math.log(times[1] / times[0]) / math.log(_LARGE / _SMALL)
        yield Figure(f"{title}: exponent of the growth of the time with the size", exponent, 1.99)


def equal_blocks(parameters: int) -> tuple[Any, Any]:
    """A deep transformer, all of whose blocks are equal, in both frameworks under other names."""
    count = -(-parameters // _BLOCK)
    return (
        _torch("blocks", ("norm1", "q", "k", "v", "proj", "norm2", "fc1", "fc2"), [8] * count),
        _mindspore("layers", ("ln_1", "query", "key", "value", "out", "ln_2", "dense1", "dense2"), [8] * count),
    )


def growing_stages(parameters: int) -> tuple[Any, Any]:
    """The same with widths that grow from stage to stage."""
    count = -(-parameters // _BLOCK)
    widths = [8 + 2 * (4 * number // count) for number in range(count)]
    return (
        _torch("blocks", ("norm1", "q", "k", "v", "proj", "norm2", "fc1", "fc2"), widths),
        _mindspore("layers", ("ln_1", "query", "key", "value", "out", "ln_2", "dense1", "dense2"), widths),
    )


def alike(parameters: int) -> tuple[Any, Any]:
    """Blocks of which every tenth differs, in a network that has one more than the other."""
    count = -(-parameters // _BLOCK) + 1
    widths = [8 if number % 10 else 10 for number in range(count)]
    return (
        _torch("blocks", ("norm1", "q", "k", "v", "proj", "norm2", "fc1", "fc2"), widths),
        _mindspore("body.parts", ("norm1", "q", "k", "v", "proj", "norm2", "fc1", "fc2"), widths[:-1]),
    )


def _torch(path: str, names: tuple[str, ...], widths: list[int]) -> Any:
    from torch import nn

    return _network(nn.Module, nn.Linear, nn.LayerNorm, path, names, widths)


def _mindspore(path: str, names: tuple[str, ...], widths: list[int]) -> Any:
    from mindspore import nn

    return _network(nn.Cell, nn.Dense, lambda width: nn.LayerNorm((width,)), path, names, widths)


def _network(
    module: Callable[[], Any],
    linear: Callable[[int, int], Any],
    norm: Callable[[int], Any],
    path: str,
    names: tuple[str, ...],
    widths: list[int],
) -> Any:
    def block(width: int) -> Any:
        inner = module()
        for name in names:
            if "norm" in name or "ln" in name:
                layer = norm(width)
            elif name.endswith("1"):
                layer = linear(width, 4 * width)
            elif name.endswith("2"):
                layer = linear(4 * width, width)
            else:
                layer = linear(width, width)
            setattr(inner, name, layer)
        return inner

    root = place = module()
    for name in path.split("."):
        setattr(place, name, module())
        place = getattr(place, name)
    for number, width in enumerate(widths):
        setattr(place, str(number), block(width))
    return root
