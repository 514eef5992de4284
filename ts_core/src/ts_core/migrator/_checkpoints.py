"""Checkpoints side by side: a table of shapes and one of values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ts_core.comparison import Report, Tolerances, check_tolerances, compare_opened, label, shape_table, value_table
from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError, ArgumentTypeError
from ts_core.mapping import WeightMap
from ts_core.migrator._weights import GivenMap, StrPath, converted, given_map
from ts_core.sources import open_source


def compare_ms_ckpt(
    orig_file_path: StrPath | None = None,
    target_file_path: StrPath | None = None,
    *,
    compare_value: bool = True,
    print_level: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    weight_map_path: StrPath | None = None,
    weight_map: GivenMap | None = None,
    orig_ckpt_dict: Mapping[str, Any] | None = None,
    target_ckpt_dict: Mapping[str, Any] | None = None,
) -> Report:
    """Compare two checkpoints, of MindSpore or of any other format, and print a table of shapes and one of values.

    Args:
        orig_file_path: the original checkpoint.
        target_file_path: the target checkpoint; differences are relative to it.
        compare_value: compare the values too.
        print_level: 0 prints nothing, 1 all rows, 2 only rows that differ.
        rtol: values are close when ``|original - target| <= atol + rtol * |target|``, as in ``numpy.isclose``.
        atol: see `rtol`.
        equal_nan: whether two NaN are equal.
        weight_map_path: the JSON of a weight map; the first column then shows its source names. The original may hold
            these names, or the target names already.
        weight_map: the map itself, or the pair that :func:`get_weight_map` returned, instead of its path.
        orig_ckpt_dict: an already loaded dict of tensors, instead of the original file.
        target_ckpt_dict: the same for the target.

    Returns:
        The report behind the tables; true when every pair passed.

    Raises:
        ArgumentError: a file is neither given by path nor as a dict, `print_level` is unknown, a tolerance negative.
        CheckpointError: a file cannot be read.
        WeightMapError: the map does not belong to the original.
        ComparisonError: no two parameters are partners.
    """
    found = None if weight_map_path is None and weight_map is None else given_map(weight_map_path, weight_map)
    original = _either("orig_file_path", orig_file_path, "orig_ckpt_dict", orig_ckpt_dict)
    target = _either("target_file_path", target_file_path, "target_ckpt_dict", target_ckpt_dict)
    with open_source(original) as first, open_source(target) as second:
        converted = found is not None and all(name in first for entry in found for name in entry.target)
        return _compare_and_print(
            first,
            second,
            None if converted else found,
            shown=found if converted else None,
            labels=(label(original), label(target)),
            names=("original ckpt", "target ckpt"),
            values=compare_value,
            print_level=print_level,
            tolerances=check_tolerances(rtol, atol, equal_nan),
        )


def compare_pth_and_ckpt(
    weight_map_path: StrPath | None = None,
    pt_file_path: StrPath | None = None,
    ms_file_path: StrPath | None = None,
    *,
    compare_value: bool = True,
    print_level: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    print_conv_info: bool = False,
    weight_map: GivenMap | None = None,
) -> Report:
    """Compare a torch file with a MindSpore checkpoint through a weight map; nothing is converted on disk.

    `weight_map_path` is the JSON that :func:`get_weight_map` wrote, `weight_map` the pair that it returned, instead of
    its path; shapes and values are compared after the change of layout. `print_conv_info` prints the table of names and
    layouts as :func:`convert_weight` does. Everything else is as in :func:`compare_ms_ckpt`, torch being the
    original and MindSpore the target, to which differences are relative.

    Returns:
        The report behind the tables; true when every pair passed. What MindSpore cannot have, as
        ``num_batches_tracked``, is shown as not applicable and does not fail.

    Raises:
        ArgumentError: a path is missing, `print_level` is unknown, a tolerance negative.
        CheckpointError: a file cannot be read.
        WeightMapError: the map does not belong to the torch file.
        ComparisonError: no two parameters are partners.
    """
    original = _either("pt_file_path", pt_file_path)
    target = _either("ms_file_path", ms_file_path)
    with converted(weight_map_path, weight_map, original, None) as (_, conversion), open_source(target) as second:
        if print_conv_info:
            print(conversion)
        with open_source(original) as first:
            return _compare_and_print(
                first,
                second,
                given_map(weight_map_path, weight_map),
                labels=(label(original), label(target)),
                names=("torch", "MindSpore"),
                values=compare_value,
                print_level=print_level,
                tolerances=check_tolerances(rtol, atol, equal_nan),
            )


def _compare_and_print(
    original: LazyTensors,
    target: LazyTensors,
    steps: WeightMap | None,
    *,
    labels: tuple[str, str],
    names: tuple[str, str],
    values: bool,
    print_level: int,
    tolerances: Tolerances,
    shown: WeightMap | None = None,
) -> Report:
    """The two tables of a comparison, and the report behind them."""
    if isinstance(print_level, bool) or print_level not in (0, 1, 2):
        raise ArgumentError(f"print_level must be 0, 1 or 2, not {print_level!r}")
    report = compare_opened(original, target, tolerances, steps, labels=labels, values=values)
    if shown is not None:
        sources = {name: " + ".join(entry.source) for entry in shown for name in entry.target}
        rows = (replace(row, original=sources.get(row.original or "", row.original)) for row in report)
        report = Report(rows, *labels)
    if print_level:
        for table in (shape_table, value_table) if values else (shape_table,):
            print(table(report, names, only_different=print_level == 2))
    return report


def _either(parameter: str, path: StrPath | None, other: str = "", tensors: Mapping[str, Any] | None = None) -> Any:
    """A source that is given by its path, or as a dict instead."""
    if path is None and tensors is None:
        raise ArgumentError(f"{parameter}{f' or {other}' if other else ''} must be given")
    if tensors is None and not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"{parameter} must be a path, not {type(path).__name__}")
    return path if tensors is None else tensors
