"""The tables of the user guide, with its titles and columns. Their numbers are cut off, not rounded."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from ts_core.comparison._report import Comparison, Report, Status
from ts_core.reporting import Column, Table, percentage, truncated

_RESULTS = {
    Status.CLOSE: "True",
    Status.SHAPE: "Shape is inconsistent",
    Status.DTYPE: "Dtype is not comparable",
    Status.UNREADABLE: "Cannot be read",
    Status.NOT_APPLICABLE: "Not applicable",
}


def shape_table(report: Report, names: tuple[str, str], *, only_different: bool = False) -> Table[Comparison]:
    """Whether the shapes are equal, of all rows or of those that differ; `names` are what the two sides are called."""
    columns = (
        *_sides("Parameter name of {}", names),
        Column("", _shapes_equal, "Whether shape are equal"),
        *_sides("Parameter shape of {}", names, "_shape"),
    )
    rows = (row for row in report if not (only_different and _shapes_equal(row) is True))
    return Table(columns, rows, "The list of comparison results for shapes")


def value_table(report: Report, names: tuple[str, str], *, only_different: bool = False) -> Table[Comparison]:
    """How the values differ; the arguments are those of :func:`shape_table`."""
    rows = (row for row in report if not (only_different and row.status is Status.CLOSE))
    columns = (*_sides("Parameter name of {}", names), *_VALUES)
    return Table(columns, rows, "The list of comparison results for values")


def output_table(report: Report, names: tuple[str, str]) -> Table[Comparison]:
    """How the outputs of two networks differ; the arguments are those of :func:`shape_table`."""
    return Table((*_sides("{} out", names), *_VALUES), report)


def file_table(report: Report, *, with_shapes: bool = False) -> Table[Comparison]:
    """How the arrays in two folders differ."""
    sides = ("orig", "target")
    shapes = _sides("shape of {}", sides, "_shape") if with_shapes else ()
    return Table((*_sides("{} array name", sides), *shapes, *_VALUES), report, "The list of comparison results")


def _sides(title: str, names: Iterable[str], what: str = "") -> tuple[Column[Comparison], ...]:
    """The names, or what else is asked for, of the original and of the target."""
    return tuple(
        Column("", attrgetter(side + what), title.format(name))
        for side, name in zip(("original", "target"), names, strict=True)
    )


def _result(row: Comparison) -> str:
    result = _RESULTS.get(row.status, "False")
    detailed = row.status is Status.UNREADABLE or (row.detail and result == "False")
    return f"{result}: {row.detail}" if detailed else result


def _differences(row: Comparison) -> str:
    return f"{truncated(row.metrics.mean_abs)}, {truncated(row.metrics.max_abs)}" if row.metrics else "nan, nan"


_VALUES: tuple[Column[Comparison], ...] = (
    Column("", _result, "result of allclose"),
    Column(
        "", lambda row: percentage(row.metrics.close, row.metrics.size) if row.metrics else "0.00%", "ratio of allclose"
    ),
    Column("", lambda row: truncated(row.metrics.cosine) if row.metrics else "nan", "cosine similarity"),
    Column("", _differences, "mean & max diffs"),
)


def _shapes_equal(row: Comparison) -> bool | str | None:
    if row.status is Status.NOT_APPLICABLE:
        return _RESULTS[row.status]
    if row.original_shape is None or row.target_shape is None:
        return None
    return row.original_shape == row.target_shape
