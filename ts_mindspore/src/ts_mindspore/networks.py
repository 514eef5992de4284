"""The layers of a MindSpore cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ts_core.contract import Layer, is_instance
from ts_core.contract.hooks import hookimpl

CELL = "mindspore.nn.Cell"


@hookimpl
def iter_layers(net: object) -> Iterator[Layer] | None:
    """Every cell under every path that leads to it; MindSpore's own walk names a shared cell only once."""
    return _cells(net, "") if is_instance(net, CELL) else None


def _cells(cell: Any, path: str) -> Iterator[Layer]:
    yield Layer(path, cell, cell.training)
    for local, inner in cell._cells.items():
        if inner is not None:
            yield from _cells(inner, f"{path}.{local}" if path else local)
