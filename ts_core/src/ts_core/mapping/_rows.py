"""A weight map as a report: a row for every entry, and for every tensor without a partner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ts_core.contract.transforms import Transform
from ts_core.mapping._nouns import HARMLESS, MapEntry, Unmatched
from ts_core.reporting import Column

Names = tuple[str, ...]

MATCHED = "matched"


@dataclass(frozen=True, slots=True)
class MapRow:
    """An entry of a weight map, or a tensor without a partner; true when nothing is wrong with it.

    Attributes:
        source: names in the source.
        target: names in the target.
        transform: the change of layout.
        how: how the entry was found.
        certainty: how sure that is.
        status: ``"matched"``, or the severity of having no partner: see :class:`Unmatched`.
        shape: of the tensor without a partner.
        reason: why it has none.
    """

    source: Names
    target: Names
    transform: Transform | None = None
    how: str = ""
    certainty: str = ""
    status: str = MATCHED
    shape: tuple[int, ...] | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.status in (MATCHED, HARMLESS)


def rows(
    entries: Iterable[MapEntry], unmatched_source: Iterable[Unmatched], unmatched_target: Iterable[Unmatched]
) -> Iterator[MapRow]:
    """The rows of a map, in the order of its parts."""
    for entry in entries:
        yield MapRow(entry.source, entry.target, entry.transform, entry.how, entry.certainty)
    for side, unmatched in enumerate((unmatched_source, unmatched_target)):
        for one in unmatched:
            names: tuple[Names, Names] = ((), (one.name,)) if side else ((one.name,), ())
            yield MapRow(*names, status=one.severity, shape=one.shape, reason=one.reason)


def _recorded(names: Names) -> str | Names | None:
    """One name as it is, several together, None for none."""
    return names if len(names) > 1 else names[0] if names else None


def _shown(names: str | Names | None) -> str:
    return "\n".join(names) if isinstance(names, tuple) else names or ""


COLUMNS: tuple[Column[MapRow], ...] = (
    Column("source", lambda row: _recorded(row.source), "source", _shown, "l"),
    Column("target", lambda row: _recorded(row.target), "target", _shown, "l"),
    Column("transform", lambda row: str(row.transform or ""), "change of layout", align="l"),
    Column("how", lambda row: row.how, "found by", align="l"),
    Column("certainty", lambda row: row.certainty, "certainty", align="l"),
    Column("status", lambda row: row.status),
    Column("shape", lambda row: row.shape),
    Column("reason", lambda row: row.reason),
)
