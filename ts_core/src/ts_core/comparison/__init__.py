"""Comparing two sources, tensor by tensor: which belong together, the engine, the numbers, and the report."""

from ts_core.comparison._alignment import align
from ts_core.comparison._folders import (
    NamePair,
    check_names,
    get_name_map_list_by_name,
    get_name_map_list_by_number,
    get_name_map_list_by_shape_edit_distance,
    saved_files,
)
from ts_core.comparison._pieces import Tolerances
from ts_core.comparison._report import Report
from ts_core.comparison._tables import file_table, output_table, shape_table, value_table
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
    "get_name_map_list_by_name",
    "get_name_map_list_by_number",
    "get_name_map_list_by_shape_edit_distance",
    "label",
    "output_table",
    "saved_files",
    "shape_table",
    "value_table",
]
