"""Recurrent layers of several layers or directions, and cells, in one form: each layer and direction as its cell.

One framework has an LSTM of one layer where the other has a cell, one stacks three layers where the other has three
layers of one. Each layer and direction of a stack has the parameters of a cell; both sides are taken apart where their
recurrent layers are not the same anyhow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ts_core.contract.layers import KINDS
from ts_core.mapping._units import Unit

STACKS = frozenset(name.removesuffix("_cell") for name in KINDS if name.endswith("_cell"))
_RECURRENT = STACKS | {f"{name}_cell" for name in STACKS}
_LAYER = re.compile(r"_(l\d+(?:_reverse)?)$")


def unstack(left: Sequence[Unit], right: Sequence[Unit]) -> tuple[Sequence[Unit], Sequence[Unit]]:
    """The units of both sides, the stacks among them layer by layer unless both sides have the same ones."""
    ours, theirs = (Counter(unit.signature for unit in units if _recurrent(unit)) for units in (left, right))
    if ours == theirs or not ours or not theirs:
        return left, right
    return [one for unit in left for one in _cells(unit)], [one for unit in right for one in _cells(unit)]


def cell_role(role: str) -> tuple[str, str]:
    """What a role of a stack is in its layer's cell, and which layer and direction that is: ``("weight_ih", "l0")``."""
    found = _LAYER.search(role)
    return (role[: found.start()], found.group(1)) if found else (role, "")


def _recurrent(unit: Unit) -> bool:
    return bool(unit.families) and unit.families <= _RECURRENT


def _cells(unit: Unit) -> Iterator[Unit]:
    """The cells of a stack; any other unit is itself."""
    if not _recurrent(unit) or not unit.families & STACKS:
        yield unit
        return
    families = frozenset(f"{name.removesuffix('_cell')}_cell" for name in unit.families)
    cells: dict[str, Unit] = {}
    for role, slot in unit.slots.items():
        own, layer = cell_role(role)
        cell = cells.setdefault(layer, Unit(f"{unit.path}.{layer}".lstrip("."), families, unit.position))
        cell.slots[own] = replace(slot, role=own)
    if len(cells) == 1:
        next(iter(cells.values())).path = unit.path
    yield from cells.values()
