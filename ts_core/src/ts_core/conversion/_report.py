"""What a conversion did with each parameter: the result of ``ts.convert`` and ``ts.transfer``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from ts_core.contract.nouns import CheckpointIndex
from ts_core.contract.readers import LazyTensors
from ts_core.frameworks import title_of
from ts_core.mapping import MapEntry, Unmatched
from ts_core.reporting import Column, Table, Tabular

Shape = tuple[int, ...]

CONSISTENT = "Consistent"
NAME_CONVERTED = "Name converted"
VALUE_CONVERTED = "Value converted"
NOT_APPLICABLE = "Not applicable"  # the other side cannot have it, or does not need it
MISSING = "Missing in source"
UNEXPECTED = "Not in target"
SHAPE_DIFFERS = "Shape is inconsistent"
_FAILURES = (MISSING, UNEXPECTED, SHAPE_DIFFERS)


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
    """

    source: str | None
    target: str | None
    status: str
    source_shape: Shape | None
    target_shape: Shape | None
    transform: str = ""
    how: str = ""
    certainty: str = ""

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
    """

    rows: tuple[ConversionRow, ...]
    notes: tuple[str, ...] = ()
    source_framework: str | None = None
    target_framework: str | None = None

    def table(self) -> str:
        """The rows as a table, without the notes."""
        return Table(self._columns(), self.rows, "The list of conversion result").text()

    def __str__(self) -> str:
        return "\n".join([self.table(), *self.notes])

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
            *map(_column, ("transform", "how", "certainty")),
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


def unchanged_rows(source: CheckpointIndex) -> tuple[ConversionRow, ...]:
    """The rows of a conversion without a weight map."""
    return tuple(ConversionRow(name, name, CONSISTENT, info.shape, info.shape) for name, info in source.items())


def mapped_rows(
    source: CheckpointIndex, target: LazyTensors | CheckpointIndex, entries: Iterable[MapEntry]
) -> tuple[ConversionRow, ...]:
    """The rows of a conversion through a weight map: one for each pair of names that an entry connects.

    Args:
        source: the index of the source.
        target: the source seen through the map, or its index.
        entries: the entries of the map.
    """
    index = target if isinstance(target, CheckpointIndex) else target.index
    order = {name: position for position, name in enumerate(source)}
    rows = [
        ConversionRow(
            name,
            becomes,
            status(name, becomes, entry.transform is not None),
            source[name].shape,
            index[becomes].shape,
            str(entry.transform or ""),
            entry.how,
            entry.certainty,
        )
        for entry in entries
        for name in entry.source
        for becomes in entry.target
    ]
    return tuple(sorted(rows, key=lambda row: order[str(row.source)]))


def left_out_rows(source: CheckpointIndex, unmatched: Iterable[Unmatched]) -> tuple[ConversionRow, ...]:
    """The rows of what the source has and the target has not: for a good reason, or to the user's loss."""
    return tuple(
        ConversionRow(
            one.name,
            None,
            f"{NOT_APPLICABLE if one.harmless else UNEXPECTED}: {one.reason}",
            source[one.name].shape,
            None,
        )
        for one in unmatched
        if one.name in source
    )
