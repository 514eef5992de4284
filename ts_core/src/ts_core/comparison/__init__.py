"""Comparing two sources, tensor by tensor: which belong together, the engine, the numbers, and the report."""

from ts_core.comparison._alignment import align
from ts_core.comparison._folders import NamePair, check_names, saved_files
from ts_core.comparison._pairing import pair_files_by_name, pair_files_by_number, pair_files_by_shape
from ts_core.comparison._pieces import Tolerances
from ts_core.comparison._report import Report
from ts_core.comparison._tables import file_table, shape_table, value_table
from ts_core.comparison._verb import check_tolerances, compare, compare_opened, label

__all__ = [
    "NamePair",
    "Report",
    "Tolerances",
    "align",
    "check_names",
    "check_tolerances",
    "compare",
    "compare_opened",
    "file_table",
    "label",
    "pair_files_by_name",
    "pair_files_by_number",
    "pair_files_by_shape",
    "saved_files",
    "shape_table",
    "value_table",
]
