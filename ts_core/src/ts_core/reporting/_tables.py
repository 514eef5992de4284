"""Columns and tables: what is in a cell is data; drawing is left to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Generic, Literal, TypeVar

Row = TypeVar("Row")
Align = Literal["l", "c", "r"]


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: what a row has in it, and how that is shown.

    Attributes:
        key: what records, CSV, JSON and DataFrames call it; empty when they leave it out.
        value: a row → its str, number, bool, tuple of these, or None.
        title: what a table calls it; empty when it is not shown.
        shown: the value → what stands in the cell of a table.
        align: to the left, the centre or the right.
    """

    key: str
    value: Callable[[Row], Any]
    title: str = ""
    shown: Callable[[Any], Any] = _as_it_is
    align: Align = "c"


class Table(Generic[Row]):
    """Rows as a reader sees them. Each form (text, CSV) is a method over the same cells.

    Args:
        columns: those with a title are shown, in this order.
        rows: one a line; a false one is a failure.
        title: of the whole table.
    """

    def __init__(self, columns: Iterable[Column[Row]], rows: Iterable[Row], title: str = "") -> None:
        self.columns = tuple(column for column in columns if column.title)
        self.rows = tuple(rows)
        self.title = title

    @property
    def titles(self) -> list[str]:
        """Those of the columns."""
        return [column.title for column in self.columns]

    def cells(self) -> Iterator[list[Any]]:
        """What stands in each row."""
        for row in self.rows:
            yield [column.shown(column.value(row)) for column in self.columns]

    def text(self, *, color: bool = False) -> str:
        """The table for a terminal; `color` marks false rows."""
        from prettytable import PrettyTable

        table = PrettyTable(self.titles, title=self.title or None)
        for column in self.columns:
            table.align[column.title] = column.align
        for row, cells in zip(self.rows, self.cells(), strict=True):
            table.add_row([f"\x1b[31m{cell}\x1b[0m" for cell in cells] if color and not row else cells)
        return str(table.get_string())

    def __str__(self) -> str:
        return self.text()

    def to_csv(self) -> str:
        """The cells as CSV, in the words of the text table, without its title."""
        return csv_text(self.titles, (map(str, cells) for cells in self.cells()))


def listing(titles: Mapping[str, Align], rows: Iterable[Sequence[Any]]) -> Table[Sequence[Any]]:
    """A table of rows that are cells already, under titles with their alignment."""
    columns: list[Column[Sequence[Any]]] = [
        Column("", itemgetter(i), title, align=align) for i, (title, align) in enumerate(titles.items())
    ]
    return Table(columns, rows)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, one line each, below a header."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
