"""What a saved tensor is called: ``<name>[.<index or key>…][_<suffix>]_<dtype>``, to which the file adds its number."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping

from ts_core.errors import ArgumentError, ArgumentTypeError
from ts_core.text import safe

Place = tuple[object, ...]
"""The indices and keys that lead to a leaf of a nested container."""

OUTPUT_MODES = ("npy", "print")


def base_name(file: object) -> str:
    """The path that all file names of a save begin with: `file` without a trailing ``.npy``.

    Raises:
        ArgumentTypeError: `file` is not a path.
        ArgumentError: its last part is empty: there is a folder and no name.
    """
    if not isinstance(file, str | os.PathLike):
        raise ArgumentTypeError(f"file must be a str or os.PathLike, not {type(file).__name__}")
    path = os.fspath(file)
    if not isinstance(path, str):
        raise ArgumentTypeError(f"file must be a path of str, not of {type(path).__name__}")
    base = path.removesuffix(".npy")
    if _last_part(base) in ("", ".", ".."):
        raise ArgumentError(f"file must end in a name, not in a folder: {path!r}")
    return base


def check_output_mode(output_mode: object) -> None:
    """Raise ArgumentError for a mode other than those of :data:`OUTPUT_MODES`."""
    if output_mode not in OUTPUT_MODES:
        raise ArgumentError(f"output_mode must be 'npy' or 'print', not {output_mode!r}")


def full_suffix(suffix: object, rank: bool) -> str:
    """`suffix`, and the rank of this process when it is asked for and known; ``""`` for none.

    The rank is what the launchers export: ``RANK`` (torchrun, msrun) or ``RANK_ID`` (the launchers of Ascend).
    """
    number = os.environ.get("RANK") or os.environ.get("RANK_ID") if rank else None
    parts = [_flat(str(suffix))] if suffix else []
    parts += [f"rank{number}"] if number else []
    return "_".join(parts)


def leaf_name(base: str, place: Place, suffix: str, dtype: str = "") -> str:
    """The path of one leaf, all but its number and its ``.npy``."""
    name = base + "".join(f".{_flat(str(key))}" for key in place)
    return "_".join(filter(None, [name, suffix, dtype]))


def print_line(name: str) -> str:
    """The line before a tensor that is printed instead of saved."""
    return f"_TS_SAVE_NAME:{safe(name)}"


def leaves(data: object, place: Place = ()) -> Iterator[tuple[Place, object]]:
    """Every leaf of nested lists, tuples and dicts that is not None, in order, and where it was."""
    if isinstance(data, Mapping):
        for key, item in data.items():
            yield from leaves(item, (*place, key))
    elif isinstance(data, list | tuple):
        for index, item in enumerate(data):
            yield from leaves(item, (*place, index))
    elif data is not None:
        yield place, data


def shown(place: Place) -> str:
    """A place as the user would write it: ``data["a"][2]``."""
    return "data" + "".join(f"[{json.dumps(key) if isinstance(key, str) else repr(key)}]" for key in place)


def _flat(part: str) -> str:
    """A part of a file name in which nothing leads to another folder."""
    for separator in filter(None, (os.sep, os.altsep)):
        part = part.replace(separator, ".")
    return part


def _last_part(path: str) -> str:
    return path if not path else os.path.basename(path)  # noqa: PTH119 - pathlib drops the trailing separator
