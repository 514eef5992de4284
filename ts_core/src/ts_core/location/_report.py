"""What ``ts.locate`` answers: findings, and a row for each pair of calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ts_core.location._difference import Difference
from ts_core.location._nouns import BETWEEN, LAYER, LOSS, WEIGHTS, Finding, Row
from ts_core.reporting import Column, Tabular, short
from ts_core.running import Line

_SHOWN = 8  # findings that are told in full
_HINTS = 3
_LINES = 6


def _rms(found: Difference | None) -> float | None:
    return None if found is None else found.rms


def _number(value: Any) -> str:
    return "" if value is None else short(value)


_COLUMNS: tuple[Column[Row], ...] = (
    Column("source", lambda row: row.source, "source", align="l"),
    Column("target", lambda row: row.target, "target", align="l"),
    Column("call", lambda row: row.call, "call"),
    Column("inputs", lambda row: _rms(row.inputs), "inputs differ", _number),
    Column("outputs", lambda row: _rms(row.outputs), "outputs differ", _number),
    Column("noise", lambda row: _rms(row.noise), "noise", _number),
    Column("verdict", lambda row: row.verdict, "verdict", align="l"),
)


class LocateReport(Tabular[Row]):
    """Where two networks part, and why; true when nothing parts by more than noise explains.

    Attributes:
        findings: every place, as :class:`Finding`: weights, then forward in the order of execution, the loss, backward.
            Of several of the same cause the first comes first, the others behind the other causes.
        rows: a row for each pair of calls.
        notes: what the reader should know besides.
    """

    def __init__(self, findings: Sequence[Finding], rows: Sequence[Row], notes: Sequence[str]) -> None:
        self.findings = _ordered(findings)
        self.notes = tuple(notes)
        self._rows = tuple(rows)

    @property
    def rows(self) -> Sequence[Row]:
        """A row for each pair of calls, in the order of execution."""
        return self._rows

    @property
    def first(self) -> Finding | None:
        """The first finding; None when there is none."""
        return self.findings[0] if self.findings else None

    def __bool__(self) -> bool:
        return not self.findings

    def _columns(self) -> Sequence[Column[Row]]:
        return _COLUMNS

    def _facts(self) -> dict[str, Any]:
        return {"notes": list(self.notes), "findings": [_record(finding) for finding in self.findings]}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        pairs = f"{len(self._rows)} pairs of calls"
        if not self.findings:
            yield f"Nothing parts beyond noise: {pairs} agree."
        groups: dict[object, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.cause, []).append(finding)
        if groups:
            places = f"{len(self.findings)} places" if len(self.findings) > 1 else "one place"
            causes = f", {len(groups)} causes" if 1 < len(groups) < len(self.findings) else ""
            yield f"The networks part at {places}{causes} ({pairs} compared)."
        for number, group in enumerate(list(groups.values())[:_SHOWN], 1):
            yield ""
            yield from _told(number, group)
        if len(groups) > _SHOWN:
            yield f"\n… and {len(groups) - _SHOWN} more: see .findings"
        if self.notes:
            yield ""
            yield from (f"note: {note}" for note in self.notes)


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The first of each cause, then the others."""
    seen: set[object] = set()
    first: list[Finding] = []
    later: list[Finding] = []
    for finding in findings:
        (later if finding.cause in seen else first).append(finding)
        seen.add(finding.cause)
    return (*first, *later)


def _place(path: str) -> str:
    return path or "the network itself"


def _names(source: str, target: str) -> str:
    return _place(target) if source == target else f"{_place(source)} | {_place(target)}"


def _told(number: int, group: Sequence[Finding]) -> Iterator[str]:
    finding = group[0]
    yield f"{number}. {_headline(finding)}"
    if finding.metrics is not None:
        yield f"   {_size(finding)}"
    if len(group) > 1:
        others = ", ".join(_place(each.target) for each in group[1:5])
        yield f"   the same at {len(group) - 1} more: {others}{' …' if len(group) > 5 else ''}"
    for hint in finding.hints[:_HINTS]:
        yield f"   {'→' if hint is finding.hints[0] else ' '} {hint}"
    for name, lines in zip(("source", "target"), finding.lines, strict=True):
        yield from _source_code(name, lines)


def _headline(finding: Finding) -> str:
    names = _names(finding.source, finding.target)
    nth = f" (call {finding.call})" if finding.call else ""
    way = "" if finding.direction == "forward" else " backwards"
    if finding.where == WEIGHTS:
        return f"{names} holds other values: {', '.join(target for _, target in finding.tensors[:4])}"
    if finding.where == LOSS:
        return "the loss is another one"
    if finding.where == LAYER:
        what = "on equal inputs" if finding.direction == "forward" else "on equal inputs and gradients of its output"
        return f"{names}{nth} does something else{way} {what}"
    assert finding.where == BETWEEN
    after = f"after {_names(*finding.after)} " if finding.after else ""
    if finding.direction != "forward":
        return f"between {names}{nth} and the loss: the gradient of its output is the first that differs"
    side = "output" if finding.output else "input"
    return f"between: {after}all agrees, the {side} of {names}{nth} does not"


def _size(finding: Finding) -> str:
    metrics = finding.metrics
    assert metrics is not None
    if metrics.shapes[0] != metrics.shapes[1]:
        return f"shape {metrics.shapes[1]} instead of {metrics.shapes[0]}"
    noise = f", {short(finding.ratio)} × the noise" if finding.ratio is not None and finding.ratio < 1e12 else ""
    return f"differs by {short(metrics.rms)} of its size, at most {short(metrics.absolute)}{noise}"


def _source_code(name: str, lines: Sequence[Line]) -> Iterator[str]:
    if not lines:
        return
    yield f"   {name}: {Path(lines[0].file).name}, {lines[0].function}"
    for line in lines[:_LINES]:
        yield f"     {line.number:5d} | {line.text}"


def _record(finding: Finding) -> dict[str, Any]:
    metrics = finding.metrics
    return {
        "direction": finding.direction,
        "where": finding.where,
        "source": finding.source,
        "target": finding.target,
        "after": list(finding.after),
        "call": finding.call,
        "rms": None if metrics is None else _json(metrics.rms),
        "ratio to noise": None if finding.ratio is None else _json(finding.ratio),
        "hints": [{"text": h.text, "setting": h.setting, "certainty": h.certainty} for h in finding.hints],
        "tensors": [list(pair) for pair in finding.tensors],
    }


def _json(value: float) -> float | str:
    return value if abs(value) < float("inf") else str(value)
