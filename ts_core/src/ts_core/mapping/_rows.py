"""A weight map as rows: what is mapped, what has no partner, what is ambiguous."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from ts_core.mapping._nouns import HARMLESS, Ambiguity, MapEntry, Unmatched
from ts_core.reporting import Column
from ts_core.text import lines

MAPPED, AMBIGUOUS = "mapped", "ambiguous"

Names = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MapRow:
    """A row of a weight map as a report; false when it needs an answer, or says that values get lost.

    Attributes:
        source: name in the source, several when they are fused or ambiguous; ``None`` when the source has none.
        target: name in the target, several when one is split; ``None`` when the target has none.
        transform: the change of layout, in words; empty when there is none.
        how: how the pair was found; empty when there is none. See :class:`MapEntry`.
        certainty: how sure it is, likewise.
        status: ``"mapped"``, ``"ambiguous"``, or the severity of a tensor without a partner, see :class:`Unmatched`.
        reason: why there is no partner, or more than one; of a pair, what speaks against it.
        candidates: the names on the other side that came nearest, or are equally good.
    """

    source: Names | None
    target: Names | None
    transform: str = ""
    how: str = ""
    certainty: str = ""
    status: str = MAPPED
    reason: str = ""
    candidates: str = ""

    def __bool__(self) -> bool:
        """Whether nothing is wrong."""
        return self.status in (MAPPED, HARMLESS)


def mapped(entries: Iterable[MapEntry]) -> Iterator[MapRow]:
    """The rows of entries."""
    for entry in entries:
        source, target = one_or_more(entry.source), one_or_more(entry.target)
        yield MapRow(source, target, str(entry.transform or ""), entry.how, entry.certainty, reason=entry.doubt)


def unmapped(
    source: Iterable[Unmatched], target: Iterable[Unmatched], ambiguous: Iterable[Ambiguity]
) -> Iterator[MapRow]:
    """The rows of what has no partner in either side, and of what has more than one."""
    for one in source:
        yield MapRow(one.name, None, status=one.severity, reason=one.reason, candidates=", ".join(one.candidates))
    for one in target:
        yield MapRow(None, one.name, status=one.severity, reason=one.reason, candidates=", ".join(one.candidates))
    for some in ambiguous:
        near = ", ".join(some.target)
        yield MapRow(one_or_more(some.source), None, status=AMBIGUOUS, reason=some.reason, candidates=near)


def open_questions(
    entries: Iterable[MapEntry],
    source: Iterable[Unmatched],
    target: Iterable[Unmatched],
    ambiguous: Iterable[Ambiguity],
) -> Iterator[str]:
    """What a map leaves open or doubts, in lines of text."""
    yield from _titled(
        "In doubt:", (f"{', '.join(e.source)} -> {', '.join(e.target)}: {e.doubt}" for e in entries if e.doubt)
    )
    for title, unmatched in (("source", source), ("target", target)):
        yield from _titled(f"In the {title}, without a partner:", map(_without_partner, unmatched))
    yield from _titled(
        "Ambiguous:", (f"{', '.join(some.source)} -> {' or '.join(some.target)}: {some.reason}" for some in ambiguous)
    )


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines, indented, below their title; nothing when there are none."""
    for number, line in enumerate(lines):
        if number == 0:
            yield title
        yield f"  {line}"


def _without_partner(one: Unmatched) -> str:
    near = f" (nearest: {', '.join(one.candidates)})" if one.candidates else ""
    return f"{one.severity}: {one.name} {one.shape}: {one.reason}{near}"


def one_or_more(names: tuple[str, ...]) -> Names:
    """The name, where there is one only."""
    return names[0] if len(names) == 1 else names


def _lines(names: Names | None) -> str:
    return lines(*names) if isinstance(names, tuple) else names or ""


def _column(key: str, title: str = "") -> Column[MapRow]:
    return Column(key, attrgetter(key), title, _lines, "l")


COLUMNS = (
    _column("source", "source"),
    _column("target", "target"),
    _column("transform", "change of layout"),
    _column("how", "found by"),
    _column("certainty", "certainty"),
    *map(_column, ("status", "reason", "candidates")),
)
