"""The tables of the user guide, with its titles and columns. Their numbers are cut off, not rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ts_core.comparison._report import Comparison, Report, Status, percentage, truncated

if TYPE_CHECKING:
    from prettytable import PrettyTable

VALUE_COLUMNS = ("result of allclose", "ratio of allclose", "cosine similarity", "mean & max diffs")

_RESULTS = {
    Status.CLOSE: "True",
    Status.SHAPE: "Shape is inconsistent",
    Status.DTYPE: "Dtype is not comparable",
    Status.UNREADABLE: "Cannot be read",
    Status.NOT_APPLICABLE: "Not applicable",
}


def shape_table(report: Report, names: tuple[str, str], *, only_different: bool = False) -> PrettyTable:
    """Whether the shapes are equal.

    Args:
        report: what to show.
        names: what the two sides are called: ``("original ckpt", "target ckpt")``.
        only_different: leave out the rows whose shapes are equal.
    """
    columns = (
        *(f"Parameter name of {name}" for name in names),
        "Whether shape are equal",
        *(f"Parameter shape of {name}" for name in names),
    )
    table = _table("The list of comparison results for shapes", columns)
    for row in report:
        equal = _shapes_equal(row)
        if not (only_different and equal is True):
            table.add_row([row.original, row.target, equal, row.original_shape, row.target_shape])
    return table


def value_table(report: Report, names: tuple[str, str], *, only_different: bool = False) -> PrettyTable:
    """How the values differ; the arguments are those of :func:`shape_table`."""
    columns = (*(f"Parameter name of {name}" for name in names), *VALUE_COLUMNS)
    table = _table("The list of comparison results for values", columns)
    for row in report:
        if not (only_different and row.status is Status.CLOSE):
            table.add_row([row.original, row.target, *value_cells(row)])
    return table


def file_table(report: Report, *, with_shapes: bool = False) -> PrettyTable:
    """How the arrays in two folders differ."""
    shapes = ("shape of orig", "shape of target") if with_shapes else ()
    table = _table("The list of comparison results", ("orig array name", "target array name", *shapes, *VALUE_COLUMNS))
    for row in report:
        shown = (row.original_shape, row.target_shape) if with_shapes else ()
        table.add_row([row.original, row.target, *shown, *value_cells(row)])
    return table


def value_cells(row: Comparison) -> tuple[str, str, str, str]:
    """The cells under :data:`VALUE_COLUMNS`."""
    result = _RESULTS.get(row.status, "False")
    if row.status is Status.UNREADABLE or (row.detail and result == "False"):
        result = f"{result}: {row.detail}"
    metrics = row.metrics
    if metrics is None:
        return result, "0.00%", "nan", "nan, nan"
    differences = f"{truncated(metrics.mean_abs)}, {truncated(metrics.max_abs)}"
    return result, percentage(metrics.close, metrics.size), truncated(metrics.cosine), differences


def _shapes_equal(row: Comparison) -> bool | str | None:
    if row.status is Status.NOT_APPLICABLE:
        return _RESULTS[row.status]
    if row.original_shape is None or row.target_shape is None:
        return None
    return row.original_shape == row.target_shape


def _table(title: str, columns: tuple[str, ...]) -> PrettyTable:
    from prettytable import PrettyTable

    table = PrettyTable(title=title)
    table.field_names = list(columns)
    return table


def as_csv(table: PrettyTable) -> str:
    """A table as CSV, without its title."""
    text: Any = table.get_csv_string(lineterminator="\n")
    return str(text)
