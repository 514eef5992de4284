"""The result of a comparison: a row for every pair, and the ways to look at them."""

from __future__ import annotations

import enum
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ts_core.comparison._metrics import Metrics, Tolerance
from ts_core.errors import ArgumentError, FrameworkMissingError

if TYPE_CHECKING:
    import pandas as pd

StrPath = str | os.PathLike[str]


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


class Report:
    """The rows of a comparison, in the order of the original; true when every pair passed.

    Args:
        rows: one for every pair.
        original: what the original is, in words: the path of a file.
        target: what the target is, in words.
    """

    def __init__(self, rows: Iterable[Comparison], original: str = "original", target: str = "target") -> None:
        self.rows = tuple(rows)
        self.original = original
        self.target = target

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        """Whether something was compared and every row passed."""
        return any(row.status is Status.CLOSE for row in self.rows) and all(self.rows)

    @property
    def failed(self) -> tuple[Comparison, ...]:
        """The rows that did not pass."""
        return tuple(row for row in self.rows if not row)

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
        from prettytable import PrettyTable

        rows = self.rows if worst is None else self.worst(worst)
        rows = tuple(row for row in rows if not (only_different and row))
        renamed = any(row.original and row.target and row.original != row.target for row in rows)
        columns = {**(_RENAMED if renamed else _NAMED), **_COLUMNS, **(_WIDE_COLUMNS if wide else {})}
        table = PrettyTable(list(columns))
        for position, header in enumerate(columns):
            table.align[header] = "l" if position < len(columns) - len(_COLUMNS) - (len(_WIDE_COLUMNS) * wide) else "r"
        table.align["result"] = "l"
        for row in rows:
            cells = [cell(row) for cell in columns.values()]
            table.add_row([f"\x1b[31m{cell}\x1b[0m" for cell in cells] if color and not row else cells)
        return str(table.get_string())

    def __str__(self) -> str:
        return f"{self.table()}\n{self.summary}"

    def __repr__(self) -> str:
        return f"<Report: {self.summary}>"

    def to_records(self) -> list[dict[str, Any]]:
        """The rows as flat dicts, one key a column, the same keys in every row."""
        return [_record(row) for row in self.rows]

    def to_csv(self, path: StrPath | None = None) -> str:
        """The rows as CSV, one line each, with a header; written to `path` as well when one is given.

        Raises:
            ArgumentError: the folder of `path` does not exist.
        """
        import csv
        import io

        text = io.StringIO()
        writer = csv.DictWriter(text, _RECORD_KEYS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.to_records())
        return _written(text.getvalue(), path)

    def to_json(self, path: StrPath | None = None) -> str:
        """The report as JSON; written to `path` as well when one is given.

        JSON has no NaN and no infinity: these numbers are the strings ``"nan"``, ``"inf"``, ``"-inf"``, which
        ``float()`` takes back.

        Raises:
            ArgumentError: the folder of `path` does not exist.
        """
        import json

        report = {
            "equal": bool(self),
            "summary": self.summary,
            "original": self.original,
            "target": self.target,
            "rows": [{key: _json_value(value) for key, value in record.items()} for record in self.to_records()],
        }
        return _written(json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n", path)

    def to_dataframe(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            FrameworkMissingError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as problem:
            raise FrameworkMissingError('to_dataframe needs pandas: pip install "ts-core[pandas]"') from problem
        return pd.DataFrame.from_records(self.to_records(), columns=_RECORD_KEYS)


def truncated(value: float, places: int = 5) -> str:
    """A number with so many decimals, the others cut off: 0.999999 is ``0.99999``, never ``1.00000``."""
    if not math.isfinite(value):
        return str(value)
    from decimal import Decimal

    whole, _, decimals = f"{Decimal(repr(float(value))):f}".partition(".")
    text = f"{whole}.{decimals[:places]:0<{places}}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def percentage(part: int, whole: int) -> str:
    """A share in percent with two decimals, cut off: ``100.00%`` only when `part` is all; all of nothing is all."""
    hundredths = 10_000 * part // whole if whole else 10_000
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def _short(value: float, rounding: str = "ROUND_DOWN") -> str:
    """A number with three digits."""
    if not value or not math.isfinite(value):
        return "0" if not value else str(value)
    from decimal import Decimal

    exact = Decimal(repr(float(value)))
    return f"{float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), rounding=rounding)):.3g}"


def _enough(value: float) -> str:
    """A tolerance with three digits, rounded up so that it is enough."""
    return _short(value, "ROUND_CEILING")


def _number(row: Comparison, name: str, shown: Any = _short) -> str:
    return "" if row.metrics is None else shown(getattr(row.metrics, name))


def _values(row: Comparison) -> str:
    metrics = row.metrics
    if metrics is None or metrics.worst is None:
        return ""
    return f"{_scalar(metrics.worst_original)}, {_scalar(metrics.worst_target)}"


def _scalar(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | complex) else str(value)


def _worst_in_words(row: Comparison) -> str:
    metrics = row.metrics
    assert metrics is not None
    assert metrics.worst is not None
    original, target = _scalar(metrics.worst_original), _scalar(metrics.worst_target)
    return f"{row.name}: |Δ| {_short(metrics.max_abs)} at {metrics.worst}, {original} vs {target}"


def _result(row: Comparison) -> str:
    if row.status is Status.SHAPE:
        return f"shape {row.original_shape} vs {row.target_shape}"
    return f"{row.status.value}: {row.detail}" if row.detail else row.status.value


_Columns = dict[str, Callable[[Comparison], str]]

_NAMED: _Columns = {"name": lambda row: row.name}
_RENAMED: _Columns = {"original": lambda row: row.original or "", "target": lambda row: row.target or ""}
_COLUMNS: _Columns = {
    "result": _result,
    "close": lambda row: percentage(row.metrics.close, row.metrics.size) if row.metrics else "",
    "cosine": lambda row: _number(row, "cosine", truncated),
    "mean |Δ|": lambda row: _number(row, "mean_abs"),
    "max |Δ|": lambda row: _number(row, "max_abs"),
    "at": lambda row: str(row.metrics.worst) if row.metrics and row.metrics.worst is not None else "",
    "atol to pass": lambda row: _number(row, "required_atol", _enough),
}
_WIDE_COLUMNS: _Columns = {
    "values there": _values,
    "max |Δ/target|": lambda row: _number(row, "max_rel"),
    "RMSE": lambda row: _number(row, "rmse"),
    "NaN": lambda row: f"{row.metrics.nan_original}, {row.metrics.nan_target}" if row.metrics else "",
    "Inf": lambda row: f"{row.metrics.inf_original}, {row.metrics.inf_target}" if row.metrics else "",
    "dtypes": lambda row: f"{row.original_dtype or ''}, {row.target_dtype or ''}",
    "shape": lambda row: str(row.original_shape or row.target_shape or ""),
    "rtol, atol": lambda row: f"{row.tolerance.rtol:g}, {row.tolerance.atol:g}",
}

_ROW_KEYS = ("original", "target", "status", "original_shape", "target_shape", "original_dtype", "target_dtype")
_METRIC_KEYS = tuple(Metrics.__dataclass_fields__)
_RECORD_KEYS = (*_ROW_KEYS, "rtol", "atol", "equal_nan", "ratio", *_METRIC_KEYS, "detail")


def _record(row: Comparison) -> dict[str, Any]:
    record = {key: getattr(row, key) for key in _ROW_KEYS} | {"status": row.status.value}
    record |= {key: getattr(row.tolerance, key) for key in ("rtol", "atol", "equal_nan")}
    record |= {key: None if row.metrics is None else getattr(row.metrics, key) for key in ("ratio", *_METRIC_KEYS)}
    return record | {"detail": row.detail}


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, complex):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _written(text: str, path: StrPath | None) -> str:
    if path is not None:
        write_text(path, text)
    return text


def write_text(path: StrPath, text: str) -> None:
    """Write a text file, whole or not at all. Raises ArgumentError when its folder does not exist."""
    from ts_core.commit import replacing

    final = Path(path)
    if not final.absolute().parent.is_dir():
        raise ArgumentError(f"cannot write {path}: there is no folder {final.absolute().parent}")
    with replacing(final) as (unfinished,):
        unfinished.write_text(text, encoding="utf-8")
