"""Folders of saved tensors, one ``.npy`` file each, named ``<name>_<dtype>_<id>.npy`` by ``ts.save``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ts_core.checkpoints import NpyFiles, npy_folder
from ts_core.errors import ArgumentError, ArgumentTypeError

NamePair = tuple[str | None, str | None]


def saved_files(path: object, parameter: str) -> NpyFiles:
    """The ``.npy`` files directly in a folder as tensors that have the names of the files, in the order of saving.

    Args:
        path: the folder.
        parameter: what the caller's parameter is called, for the message of an error.

    Raises:
        ArgumentTypeError: `path` is not a path.
        ArgumentError: there is no such folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"{parameter} must be the path of a folder, not {type(path).__name__}")
    if not Path(path).is_dir():
        raise ArgumentError(f"{parameter}: there is no folder {str(path)!r}")
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
