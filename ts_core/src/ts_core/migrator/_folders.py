"""Folders of saved tensors side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from ts_core.comparison import (
    NamePair,
    Report,
    check_names,
    check_tolerances,
    compare_opened,
    file_table,
    get_name_map_list_by_name,
    get_name_map_list_by_number,
    get_name_map_list_by_shape_edit_distance,
    saved_files,
)
from ts_core.errors import ArgumentTypeError
from ts_core.log import user_logger
from ts_core.migrator._weights import StrPath
from ts_core.reporting import require_folder, write_text


def compare_npy_dir(
    orig_dir: StrPath,
    target_dir: StrPath,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    *,
    name_map_list: Sequence[NamePair] | None = None,
    compare_shape: bool = False,
    output_file: StrPath | None = None,
    num_processes: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Report:
    """Compare the ``.npy`` files of two folders, and print a table.

    Args:
        orig_dir: the folder of the original.
        target_dir: the folder of the target; differences are relative to it.
        rtol: values are close when ``|original - target| <= atol + rtol * |target|``, as in ``numpy.isclose``.
        atol: see `rtol`.
        equal_nan: whether two NaN are equal.
        name_map_list: the files to compare, ``(original, target)``; either may be None, and ``.npy`` may be omitted. By
            default :func:`get_name_map_list_by_name`.
        compare_shape: show the shapes as well.
        output_file: where to write the table as CSV; its folder must exist.
        num_processes: another name of `workers`.
        workers: the number of threads; by default one for each processor that this process may use.
        executor: any ``concurrent.futures.Executor`` instead of threads.

    Returns:
        The report behind the table; true when every pair passed. A file that cannot be read is a row that says so.

    Raises:
        ArgumentTypeError: an argument has the wrong type.
        ArgumentError: a folder does not exist, or holds no ``.npy`` file; the message names the parameter.
        ComparisonError: no file has a partner.
    """
    original, target = saved_files(orig_dir, "orig_dir"), saved_files(target_dir, "target_dir")
    if name_map_list is None:
        name_map_list = get_name_map_list_by_name(orig_dir, target_dir)
    names = check_names(name_map_list)
    tolerances = check_tolerances(rtol, atol, equal_nan)
    if not isinstance(compare_shape, bool):
        raise ArgumentTypeError(f"compare_shape must be a bool, not {type(compare_shape).__name__}")
    if output_file is not None:
        if not isinstance(output_file, str | os.PathLike):
            raise ArgumentTypeError(f"output_file must be a path, not {type(output_file).__name__}")
        require_folder(output_file, "output_file")
    user_logger().warning(
        "[*User Attention*] The compare directory information:\n The orig dir: %s \n The target dir: %s",
        orig_dir,
        target_dir,
    )
    report = compare_opened(
        original,
        target,
        tolerances,
        names=names,
        labels=(str(original.path), str(target.path)),
        workers=num_processes if workers is None else workers,
        executor=executor,
        progress=True,
    )
    table = file_table(report, with_shapes=compare_shape)
    print(table)
    if output_file is not None:
        write_text(output_file, table.to_csv())
    return report


def compare_list_dir(orig_dir: StrPath, target_dir: StrPath, *args: Any, **kwargs: Any) -> Report:
    """As :func:`compare_npy_dir`, with files paired by the last number in their names: lists and tuples saved twice."""
    kwargs.setdefault("name_map_list", get_name_map_list_by_number(orig_dir, target_dir))
    return compare_npy_dir(orig_dir, target_dir, *args, **kwargs)


def compare_dict_dir(orig_dir: StrPath, target_dir: StrPath, *args: Any, **kwargs: Any) -> Report:
    """As :func:`compare_npy_dir`, with files paired by name: dicts saved twice."""
    return compare_npy_dir(orig_dir, target_dir, *args, **kwargs)


def compare_grads_dir(orig_dir: StrPath, target_dir: StrPath, *args: Any, **kwargs: Any) -> Report:
    """As :func:`compare_npy_dir`, with files paired by shape edit distance and with the shapes shown."""
    kwargs.setdefault("name_map_list", get_name_map_list_by_shape_edit_distance(orig_dir, target_dir))
    kwargs.setdefault("compare_shape", True)
    return compare_npy_dir(orig_dir, target_dir, *args, **kwargs)
