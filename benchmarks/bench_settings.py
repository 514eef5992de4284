"""Comparing what two networks of 5,000 layers were told."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, seconds

_BLOCKS = 500  # of ten layers


def figures() -> Iterator[Figure]:
    """Every figure of this room."""
    import ts_core as ts

    one, other, renamed = _net("blocks", 1e-5), _net("blocks", 1e-3), _net("stages", 1e-3)
    assert len(ts.compare_settings(one, other).failed) == len(ts.compare_settings(one, renamed).failed) == _BLOCKS
    with tempfile.TemporaryDirectory(prefix="ts-bench-") as folder:
        files = [Path(folder) / name for name in ("one.json", "other.json")]
        for net, file in zip((one, renamed), files, strict=True):
            ts.settings(net).to_json(file)
        cases: tuple[tuple[str, Callable[[], object]], ...] = (
            ("of equal names", lambda: ts.compare_settings(one, other)),
            ("of other names", lambda: ts.compare_settings(one, renamed)),
            ("from files", lambda: ts.compare_settings(*files)),
        )
        for title, action in cases:
            times = [seconds(action) for _ in range(3)]
            yield Figure(
                f"seconds to compare the settings of two networks of {10 * _BLOCKS:,} layers {title}",
                statistics.median(times),
                1,
            )


def _net(name: str, eps: float) -> Any:
    from torch import nn

    def block() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.MaxPool2d(3, 1, 1),
            nn.Conv2d(4, 4, 1),
            nn.LayerNorm(4, eps),
            nn.GELU(),
            nn.Linear(4, 4),
            nn.Identity(),
        )

    net = nn.Module()
    setattr(net, name, nn.ModuleList([block() for _ in range(_BLOCKS)]))
    return net
