"""Folders of saved tensors, one file each, and which files of two folders belong together, by the guide's names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from ts_core.checkpoints import NpyFiles, npy_folder, saved_order
from ts_core.comparison._alignment import align
from ts_core.contract.files import reading
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError
from ts_core.log import user_logger

NamePair = tuple[str | None, str | None]
StrPath = str | os.PathLike[str]

# What ts.save puts behind the name it was given: fc.weight_float32_17.npy
_DTYPE_AND_ID = re.compile(r"_(bool|(?:u?int|float|bfloat|complex)\d+\w*?)_\d+(?=\.npy$)")


def saved_files(path: object, parameter: str) -> NpyFiles:
    """The ``.npy`` files directly in a folder as tensors that have the names of the files, in the order of saving.

    The caller's `parameter` is named in the message of an error.

    Raises:
        ArgumentTypeError: `path` is not a path.
        ArgumentError: there is no such folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"{parameter} must be the path of a folder, not {type(path).__name__}")
    if not os.path.isdir(path):  # noqa: PTH112 - it does not fail
        raise ArgumentError(f"{parameter}: there is no folder {str(path)!r}")
    with reading(Path(path)):
        return npy_folder(Path(path), bare=False)


def check_names(pairs: object) -> list[NamePair]:
    """A caller's list of pairs of file names, with ``.npy`` added where it was omitted.

    Raises:
        ArgumentTypeError: it is no list of pairs of names.
    """
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise ArgumentTypeError(f"name_map_list must be a list of pairs of file names, not {type(pairs).__name__}")
    checked: list[NamePair] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(n, str | None) for n in pair):
            raise ArgumentTypeError(f"name_map_list must hold pairs of file names or None, not {pair!r}")
        ours, theirs = (name if name is None or name.endswith(".npy") else f"{name}.npy" for name in pair)
        checked.append((ours, theirs))
    return checked


def get_name_map_list_by_name(orig_dir: StrPath, target_dir: StrPath) -> list[NamePair]:
    """Pair the ``.npy`` files of two folders by name.

    Equal names first; then names that are equal without the ``_<dtype>_<id>`` that ``ts.save`` appends, several of them
    in the order of their ids; then what is left of the original, then of the target.

    Args:
        orig_dir: the folder of the original.
        target_dir: the folder of the target.

    Returns:
        ``(original, target)`` file names, None for no partner.

    Raises:
        ArgumentTypeError: a folder is no path.
        ArgumentError: a folder does not exist, or holds no ``.npy`` file; the message names the parameter.
    """
    original, target = (folder.names for folder in _folders(orig_dir, target_dir))
    present, taken = set(target), set(original)
    pairs: list[NamePair] = [(name, name) for name in original if name in present]
    ours, theirs = (
        sorted((name for name in names if name not in others), key=saved_order)
        for names, others in ((original, present), (target, taken))
    )
    candidates: dict[str, list[str]] = {}
    for name in reversed(theirs):
        candidates.setdefault(_DTYPE_AND_ID.sub("", name), []).append(name)
    left: list[NamePair] = []
    for name in ours:
        same = candidates.get(_DTYPE_AND_ID.sub("", name))
        (pairs if same else left).append((name, same.pop() if same else None))
    matched = {partner for _, partner in pairs}
    pairs += [*left, *((None, name) for name in theirs if name not in matched)]
    _warn_if(any(None in pair for pair in pairs))
    return pairs


def get_name_map_list_by_number(orig_dir: StrPath, target_dir: StrPath) -> list[NamePair]:
    """Pair the ``.npy`` files of two folders in the order in which they were saved, told by their last number.

    The shorter list is filled up with None; arguments, result and errors as :func:`get_name_map_list_by_name`.
    """
    original, target = (sorted(folder.names, key=saved_order) for folder in _folders(orig_dir, target_dir))
    _warn_if(len(original) != len(target))
    return list(zip_longest(original, target))


def get_name_map_list_by_shape_edit_distance(
    orig_dir: StrPath, target_dir: StrPath, *, del_cost: float = 1, ins_cost: float = 1, rep_cost: float = 5
) -> list[NamePair]:
    """Pair the ``.npy`` files of two folders so that their shapes, in the order of saving, align at the least cost.

    Only headers are read. A file that has none is nobody's partner. Folders, result and errors as
    :func:`get_name_map_list_by_name`.

    Args:
        orig_dir: the folder of the original.
        target_dir: the folder of the target.
        del_cost: of a file of the original without a partner.
        ins_cost: of a file of the target without a partner.
        rep_cost: of partners with different shapes; equal shapes are free.
    """
    original, target = _folders(orig_dir, target_dir)
    shapes = ([_shape_or_path(folder, name) for name in folder.names] for folder in (original, target))
    aligned = align(*shapes, del_cost=del_cost, ins_cost=ins_cost, rep_cost=rep_cost)
    pairs = [(None if i is None else original.names[i], None if j is None else target.names[j]) for i, j in aligned]
    _warn_if(any(None in pair for pair in pairs))
    return pairs


def _shape_or_path(folder: NpyFiles, name: str) -> object:
    try:
        return folder.info(name).shape
    except CheckpointError:
        return folder.path / name  # like no other item


def _folders(orig_dir: StrPath, target_dir: StrPath) -> tuple[NpyFiles, NpyFiles]:
    folders = saved_files(orig_dir, "orig_dir"), saved_files(target_dir, "target_dir")
    for parameter, folder in zip(("orig_dir", "target_dir"), folders, strict=True):
        if not folder.names:
            raise ArgumentError(f"{parameter}: there is no .npy file in the folder {str(folder.path)!r}")
    return folders


def _warn_if(unequal: bool) -> None:
    if unequal:
        user_logger().warning(
            "[*User Warning*] The number of files or their corresponding shapes are inconsistent, "
            "and some files may not be correctly mapped."
        )
