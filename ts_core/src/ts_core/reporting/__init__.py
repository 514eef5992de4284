"""Tables as data: rows under columns, and from them text, CSV, JSON and DataFrames; every report is one."""

from ts_core.reporting._numbers import enough, percentage, short, truncated
from ts_core.reporting._tables import Align, Column, Table, Tabular, csv_text, listing, require_folder, write_text

__all__ = [
    "Align",
    "Column",
    "Table",
    "Tabular",
    "csv_text",
    "enough",
    "listing",
    "percentage",
    "require_folder",
    "short",
    "truncated",
    "write_text",
]
