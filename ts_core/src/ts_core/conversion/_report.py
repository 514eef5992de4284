"""What a conversion did with each parameter: the result of ``ts.convert`` and ``ts.transfer``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np

from ts_core.contract.dtypes import dtype_name
from ts_core.contract.nouns import CheckpointIndex
from ts_core.contract.readers import LazyTensors
from ts_core.frameworks import title_of
from ts_core.mapping import UNKNOWN_LAYER, MapEntry, Unmatched
from ts_core.reporting import Column, Tabular
from ts_core.text import safe

Shape = tuple[int, ...]

CONSISTENT = "Consistent"
NAME_CONVERTED = "Name converted"
VALUE_CONVERTED = "Value converted"
NOT_APPLICABLE = "Not applicable"  # the other side cannot have it, or does not need it
MISSING = "Missing in source"
UNEXPECTED = "Not in target"
SHAPE_DIFFERS = "Shape is inconsistent"
CHANGED = "Values changed"
_UNKNOWN = UNKNOWN_LAYER.capitalize()  # asked to translate, no rule knew how
_FAILURES = (MISSING, UNEXPECTED, SHAPE_DIFFERS, CHANGED)


@dataclass(frozen=True, slots=True)
class ConversionRow:
    """One parameter.

    Attributes:
        source: its name in the source; ``None`` when the source has none for this target.
        target: its name in the target; ``None`` when the target has none for this source.
        status: what became of it, see :func:`status`.
        source_shape: its shape in the source.
        target_shape: its shape in the target.
        transform: the change of layout, in words; empty when there is none.
        how: how the weight map found the pair; empty when no map was used. See :class:`ts_core.WeightMap`.
        certainty: how sure the weight map is of the pair, likewise.
        changed: how many elements the dtype of the target cannot hold: see ``allow_overflow`` of ``ts.convert``.
    """

    source: str | None
    target: str | None
    status: str
    source_shape: Shape | None
    target_shape: Shape | None
    transform: str = ""
    how: str = ""
    certainty: str = ""
    changed: int = 0

    def __bool__(self) -> bool:
        """True when the parameter arrived."""
        return not self.status.startswith(_FAILURES)


@dataclass(frozen=True)
class ConversionReport(Tabular[ConversionRow]):
    """What a conversion did; true when every parameter arrived, and printed as a table.

    Attributes:
        rows: one for each parameter, in the order of the source; ``failed`` are those that did not arrive.
        notes: what else is to be known: that names stayed as they were, which metadata was dropped.
        source_framework: for the titles of the table; ``None`` when it is unknown.
        target_framework: for the titles of the table; ``None`` when it is unknown.
        network: of ``ts.transfer``, the network that holds the weights: the one that was given, unless its framework
            makes a new one; else ``None``.
    """

    rows: tuple[ConversionRow, ...]
    notes: tuple[str, ...] = ()
    source_framework: str | None = None
    target_framework: str | None = None
    network: object = field(default=None, repr=False, compare=False)

    _title = "The list of conversion result"

    def __str__(self) -> str:
        return "\n".join([self.table(), *map(safe, self.notes)])

    def _columns(self) -> Sequence[Column[ConversionRow]]:
        source = title_of(self.source_framework or "source")
        target = title_of(self.target_framework or "target")
        target += " (target)" if source == target else ""
        return [
            _column("source", f"Parameter name of {source}"),
            _column("target", f"Parameter name of {target}"),
            _column("status", "Conversion status"),
            _column("source_shape", f"Parameter shape of {source}"),
            _column("target_shape", f"Parameter shape of {target}"),
            *map(_column, ("transform", "how", "certainty", "changed")),
        ]

    def _facts(self) -> dict[str, Any]:
        return {
            "complete": bool(self),
            "notes": list(self.notes),
            "source_framework": self.source_framework,
            "target_framework": self.target_framework,
        }


def _column(name: str, title: str = "") -> Column[ConversionRow]:
    return Column(name, attrgetter(name), title)


def status(source: str, target: str, value_converted: bool = False) -> str:
    """The words for what happened to a name and to the layout of the values behind it."""
    words = []
    if source != target:
        source_layer, _, source_leaf = source.rpartition(".")
        target_layer, _, target_leaf = target.rpartition(".")
        words.append(f"{source_leaf}->{target_leaf}" if source_layer == target_layer else NAME_CONVERTED)
    if value_converted:
        words.append(VALUE_CONVERTED)
    return "; ".join(words) or CONSISTENT


def with_cast(
    row: ConversionRow, before: np.dtype[Any], after: np.dtype[Any], changed: int, allowed: bool
) -> ConversionRow:
    """The row of a parameter whose dtype changed, and of which so many elements do not fit into the new one."""
    if dtype_name(before) == dtype_name(after):
        return row
    words = f"{dtype_name(before)}->{dtype_name(after)}"
    if not changed:
        return replace(row, status=f"{row.status}; {words}")
    said = f"{changed:,} of {prod(row.target_shape or ()):,} elements do not fit into {dtype_name(after)}"
    front = row.status if allowed else CHANGED
    return replace(row, status=f"{front}; {words}: {said}", changed=changed)


def mapped_rows(
    source: CheckpointIndex, target: LazyTensors, entries: Iterable[MapEntry], left_out: Iterable[Unmatched] = ()
) -> tuple[ConversionRow, ...]:
    """The rows of a conversion through a weight map, in the order of the source.

    There is one for each pair of names that an entry connects, and one for what the source has and the target has not,
    for a good reason or to the user's loss. `target` is the source seen through the map.
    """
    rows, index = [], target.index
    for entry in entries:
        found = (str(entry.transform or ""), entry.how, entry.certainty)
        for name, becomes in product(entry.source, entry.target):
            unknown = entry.how == UNKNOWN_LAYER and name == becomes
            words = _UNKNOWN if unknown else status(name, becomes, entry.transform is not None)
            rows.append(ConversionRow(name, becomes, words, source[name].shape, index[becomes].shape, *found))
    for one in left_out:
        if one.name in source:
            words = f"{NOT_APPLICABLE if one.harmless else UNEXPECTED}: {one.reason}"
            rows.append(ConversionRow(one.name, None, words, source[one.name].shape, None))
    order = {name: position for position, name in enumerate(source)}
    return tuple(sorted(rows, key=lambda row: order[str(row.source)]))
