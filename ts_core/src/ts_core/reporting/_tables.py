"""Columns, tables and reports: what is in a cell is data; drawing is left to the end."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from ts_core import commit
from ts_core.contract.files import path_of
from ts_core.errors import ArgumentError, FrameworkMissingError
from ts_core.text import escaped_json, safe

if TYPE_CHECKING:
    import pandas as pd

StrPath = str | os.PathLike[str]
Row = TypeVar("Row")
Align = Literal["l", "c", "r"]

_FORMULAS = tuple("=+-@\t\r\n＝＋－＠")  # with one of which a cell begins that is computed


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
    shown: Callable[[Any], Any] = lambda value: value
    align: Align = "c"


class Table(Generic[Row]):
    """Rows as a reader sees them. Each form (text, CSV) is a method over the same cells.

    Columns that have a title are shown, in their order; a false row is a failure.
    """

    def __init__(self, columns: Iterable[Column[Row]], rows: Iterable[Row], title: str = "") -> None:
        self.columns = tuple(column for column in columns if column.title)
        self.rows = tuple(rows)
        self.titles = [safe(column.title) for column in self.columns]
        self.title = safe(title)

    def cells(self) -> Iterator[list[Any]]:
        """What stands in each row."""
        for row in self.rows:
            yield [column.shown(column.value(row)) for column in self.columns]

    def words(self) -> Iterator[list[str]]:
        """The same, safe to show: a row is one line, unless a column shows :class:`~ts_core.text.Lines`."""
        return (list(map(safe, cells)) for cells in self.cells())

    def text(self, *, color: bool = False) -> str:
        """The table for a terminal; `color` marks false rows."""
        from prettytable import PrettyTable

        table = PrettyTable(self.titles, title=self.title or None)
        for title, column in zip(self.titles, self.columns, strict=True):
            table.align[title] = column.align
        for row, cells in zip(self.rows, self.words(), strict=True):
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
    """Rows as CSV, one line each, below a header. A text that a spreadsheet would compute gets a ``'`` in front."""
    text: list[str] = []
    writer = csv.writer(_Rows(text))
    writer.writerow(map(_guarded, header))
    writer.writerows(map(_guarded, row) for row in rows)
    return "".join(text)


class _Rows:
    r"""Where rows are written, one at a time, and end in ``\n``: the writer quotes a ``\r`` only if rows end in it."""

    def __init__(self, rows: list[str]) -> None:
        self._rows = rows

    def write(self, row: str) -> None:
        self._rows.append(row.removesuffix("\r\n") + "\n")


def _guarded(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text.isprintable()


class Tabular(Generic[Row]):
    """A report: rows, and the ways to look at them and to take them along.

    A report has its ``rows``, says in ``_columns`` what each holds, and in ``_facts`` what is true of the whole.
    """

    _title = ""  # of the text table

    if TYPE_CHECKING:  # a report may keep its rows or make them when asked

        @property
        def rows(self) -> Sequence[Row]:
            """One for each thing that the report tells of; a false one is a failure."""

    def _columns(self) -> Sequence[Column[Row]]:
        """The columns: those with a key are recorded, those with a title are shown."""
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        """What JSON says before the rows."""
        return {}

    def __bool__(self) -> bool:
        return all(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows that are false."""
        return tuple(row for row in self.rows if not row)

    def table(self) -> str:
        """The rows as a text table."""
        return Table(self._columns(), self.rows, self._title).text()

    def __str__(self) -> str:
        return self.table()

    def print(self) -> None:
        """Print the report."""
        print(self)

    def _recorded(self) -> list[Column[Row]]:
        return [column for column in self._columns() if column.key]

    def to_records(self) -> list[dict[str, Any]]:
        """The rows as flat dicts, one key a column, the same keys in every row."""
        columns = self._recorded()
        return [{column.key: column.value(row) for column in columns} for row in self.rows]

    def to_csv(self, path: StrPath | None = None) -> str:
        """The rows as CSV, one line each, with a header; written to `path` as well when one is given.

        Names are what they are in the file; a text that a spreadsheet would take for a formula has a ``'`` in front.

        Raises:
            ArgumentError: the folder of `path` does not exist.
        """
        columns = self._recorded()
        cells = ([column.value(row) for column in columns] for row in self.rows)
        return _written(csv_text([column.key for column in columns], cells), path)

    def to_json(self, path: StrPath | None = None) -> str:
        """The report as JSON; written to `path` as well when one is given.

        JSON has no NaN and no infinity: these numbers are the strings ``"nan"``, ``"inf"``, ``"-inf"``, which
        ``float()`` takes back.

        Raises:
            ArgumentError: the folder of `path` does not exist.
        """
        rows = [{key: _json_value(value) for key, value in record.items()} for record in self.to_records()]
        report = {**self._facts(), "rows": rows}
        return _written(escaped_json(json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)) + "\n", path)

    def to_dataframe(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            FrameworkMissingError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as problem:
            raise FrameworkMissingError('to_dataframe needs pandas: pip install "ts-core[pandas]"') from problem
        return pd.DataFrame.from_records(self.to_records(), columns=[column.key for column in self._recorded()])


def _json_value(value: Any) -> Any:
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return [_json_value(item) for item in value] if isinstance(value, tuple) else value


def _written(text: str, path: StrPath | None) -> str:
    if path is not None:
        write_text(path, text)
    return text


def write_text(path: StrPath, text: str) -> None:
    """Write a text file, whole or not at all. Raises ArgumentError when its folder does not exist."""
    require_folder(path, f"cannot write {path}")
    commit.write_text(Path(path), text)


def require_folder(path: StrPath, subject: str) -> None:
    """Raise ArgumentError, a sentence about `subject`, unless the folder that `path` is to be written to exists."""
    folder = path_of(path).absolute().parent
    if not os.path.isdir(folder):  # noqa: PTH112 - it does not fail
        raise ArgumentError(f"{subject}: there is no folder {folder}")
