"""The result of a comparison: a row for every pair, and the ways to look at them."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any

from ts_core.comparison._metrics import METRICS, Metrics, Tolerance, scalar
from ts_core.errors import ArgumentError
from ts_core.reporting import Align, Column, Table, Tabular, short
from ts_core.text import safe


class Status(str, enum.Enum):
    """What came of a pair."""

    CLOSE = "close"
    DIFFERENT = "different"
    SHAPE = "shape is inconsistent"
    DTYPE = "dtype is not comparable"
    NOT_IN_TARGET = "not in target"
    NOT_IN_ORIGINAL = "not in original"
    UNREADABLE = "unreadable"
    NOT_APPLICABLE = "not applicable"


PASSED = (Status.CLOSE, Status.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of a report: a tensor of the original and its partner in the target.

    Attributes:
        original: the name in the original, None when it has no such tensor.
        target: the name in the target, None when it has no such tensor.
        status: what came of the pair.
        original_shape: None when there is no original, or it could not be read.
        target_shape: the same of the target.
        original_dtype: the name of the dtype as it is stored, or None.
        target_dtype: the same of the target.
        tolerance: with which the elements were compared.
        metrics: the numbers; None unless the elements were compared.
        detail: why they were not compared.
    """

    original: str | None
    target: str | None
    status: Status
    original_shape: tuple[int, ...] | None = None
    target_shape: tuple[int, ...] | None = None
    original_dtype: str | None = None
    target_dtype: str | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    metrics: Metrics | None = None
    detail: str = ""

    def __bool__(self) -> bool:
        """True when the pair is close, or cannot be compared by nature."""
        return self.status in PASSED

    @property
    def name(self) -> str:
        """The name in the original, or else in the target."""
        return self.original or self.target or ""

    @property
    def required_atol(self) -> float:
        """The smallest ``atol`` with which the row would pass; infinity when none is enough."""
        if self.metrics is not None:
            return self.metrics.required_atol
        return 0.0 if self else math.inf


class Report(Tabular[Comparison]):
    """The rows of a comparison, in the order of the original; true when every pair passed.

    Args:
        rows: one for every pair.
        original: what the original is, in words: the path of a file.
        target: what the target is, in words.
        notes: what else is to be known: that only one side has an optimizer.
    """

    rows: tuple[Comparison, ...]

    def __init__(
        self,
        rows: Iterable[Comparison],
        original: str = "original",
        target: str = "target",
        notes: Iterable[str] = (),
    ) -> None:
        self.rows = tuple(rows)
        self.notes = tuple(notes)
        self.original = original
        self.target = target

    def __bool__(self) -> bool:
        """Whether something was compared and every row passed."""
        return any(row.status is Status.CLOSE for row in self.rows) and all(self.rows)

    def worst(self, n: int = 1) -> tuple[Comparison, ...]:
        """The `n` rows that are furthest from passing: failed ones first, by the ``atol`` that they would need."""
        if n < 0:
            raise ArgumentError(f"the number of rows to show must not be negative: {n}")
        return tuple(sorted(self.rows, key=lambda row: (bool(row), -row.required_atol))[:n])

    @property
    def summary(self) -> str:
        """One line: how many are close, what became of the others, and the worst element."""
        counts = Counter(row.status for row in self.rows)
        paired = len(self.rows) - counts[Status.NOT_APPLICABLE]
        parts = [f"{counts[Status.CLOSE]} of {paired} close"]
        others = (status for status in Status if status not in (Status.CLOSE, Status.DIFFERENT))
        parts += [f"{counts[status]} {status.value}" for status in others if counts[status]]
        compared = [row for row in self.worst(len(self.rows)) if row.metrics is not None and row.metrics.unequal]
        return "; ".join([*parts, *(f"worst {_worst_in_words(row)}" for row in compared[:1])])

    def table(
        self, *, wide: bool = False, only_different: bool = False, worst: int | None = None, color: bool = False
    ) -> str:
        """The rows as a text table.

        Args:
            wide: all columns, dtypes and counts of NaN among them.
            only_different: leave out the rows that passed.
            worst: only so many rows, those furthest from passing first.
            color: mark failed rows for a terminal.
        """
        rows = self.rows if worst is None else self.worst(worst)
        rows = tuple(row for row in rows if not (only_different and row))
        renamed = any(row.original and row.target and row.original != row.target for row in rows)
        columns = [*(_RENAMED if renamed else _NAMED), *_USUAL, *(_WIDE if wide else ())]
        return Table(columns, rows).text(color=color)

    def __str__(self) -> str:
        return "\n".join([self.table(), *map(safe, self.notes), self.summary])

    def __repr__(self) -> str:
        return f"<Report: {self.summary}>"

    def _columns(self) -> Sequence[Column[Comparison]]:
        return _RECORDED

    def _facts(self) -> dict[str, Any]:
        said = {"equal": bool(self), "summary": self.summary, "notes": list(self.notes)}
        return {**said, "original": self.original, "target": self.target}


def _worst_in_words(row: Comparison) -> str:
    metrics = row.metrics
    assert metrics is not None
    original, target = scalar(metrics.worst_original), scalar(metrics.worst_target)
    return f"{safe(row.name)}: |Δ| {short(metrics.max_abs)} at {metrics.worst}, {original} vs {target}"


def _result(row: Comparison) -> str:
    if row.status is Status.SHAPE:
        return f"shape {row.original_shape} vs {row.target_shape}"
    return f"{row.status.value}: {row.detail}" if row.detail else row.status.value


_Columns = list[Column[Comparison]]


def _shown(title: str, words: Callable[[Comparison], str], align: Align = "r") -> Column[Comparison]:
    return Column("", words, title, align=align)


def _metrics_shown(*, wide: bool) -> _Columns:
    """The columns that tell metrics."""

    def words(row: Comparison, name: str) -> str:
        if row.metrics is None:
            return ""
        return METRICS[name].shown(*(getattr(row.metrics, each) for each in (name, *METRICS[name].others)))

    chosen = sorted((m.place, name, m.title) for name, m in METRICS.items() if m.title and m.wide is wide)
    return [_shown(title, partial(words, name=name)) for _, name, title in chosen]


_NAMED: _Columns = [_shown("name", lambda row: row.name, "l")]
_RENAMED: _Columns = [
    _shown("original", lambda row: row.original or "", "l"),
    _shown("target", lambda row: row.target or "", "l"),
]
_USUAL: _Columns = [_shown("result", _result, "l"), *_metrics_shown(wide=False)]
_WIDE: _Columns = [
    *_metrics_shown(wide=True),
    _shown("dtypes", lambda row: f"{row.original_dtype or ''}, {row.target_dtype or ''}"),
    _shown("shape", lambda row: str(row.original_shape or row.target_shape or "")),
    _shown("rtol, atol", lambda row: f"{row.tolerance.rtol:g}, {row.tolerance.atol:g}"),
]


def _of_metrics(row: Comparison, name: str) -> Any:
    return None if row.metrics is None else getattr(row.metrics, name)


_RECORDED: _Columns = [
    Column("original", attrgetter("original")),
    Column("target", attrgetter("target")),
    Column("status", lambda row: row.status.value),
    *(
        Column(f"{side}_{what}", attrgetter(f"{side}_{what}"))
        for what in ("shape", "dtype")
        for side in ("original", "target")
    ),
    *(Column(name, attrgetter(f"tolerance.{name}")) for name in ("rtol", "atol", "equal_nan")),
    *(Column(name, partial(_of_metrics, name=name)) for name in ("ratio", *METRICS)),
    Column("detail", attrgetter("detail")),
]
