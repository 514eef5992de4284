"""Dtypes by name, among them those that NumPy itself lacks, and the tables in which file formats spell them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ts_core.errors import ArgumentError

Dtype = np.dtype[Any]

# Two 4-bit integers a byte, as MindSpore stores them. NumPy has nothing like it: a record of one byte keeps the bits
# and cannot be taken for anything else.
PACKED_INT4: Dtype = np.dtype([("qint4x2", "u1")])


def dtype_of(name: str) -> Dtype:
    """The dtype of a name such as ``"float32"``, ``"bfloat16"``, ``"float8_e4m3fn"`` or ``"qint4x2"``.

    Raises:
        ArgumentError: neither NumPy nor ``ml_dtypes`` knows the name.
    """
    if name == "qint4x2":
        return PACKED_INT4
    try:
        dtype = None if name is None else np.dtype(name)  # None would be float64
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is not None and is_native(dtype):
        return dtype
    # Not NumPy's own. Several packages register a "bfloat16" with NumPy, and the last one wins: ask for the right one.
    import ml_dtypes

    scalar = getattr(ml_dtypes, name, None) if isinstance(name, str) else None
    if isinstance(scalar, type) and issubclass(scalar, np.generic):
        return np.dtype(scalar)
    raise ArgumentError(f"unknown dtype {name!r}: use a name such as float32, float16, bfloat16, int64")


def is_native(dtype: Dtype) -> bool:
    """Whether NumPy itself has this dtype of numbers (bool counts), in either byte order."""
    return dtype.char in "?bhilqBHILQefdFD"


@functools.lru_cache(maxsize=256)  # NumPy puts the name together anew each time
def dtype_name(dtype: Dtype) -> str:
    """The name of a dtype without its byte order: what users read, and what :func:`dtype_of` takes."""
    return "qint4x2" if dtype == PACKED_INT4 else dtype.name


class DtypeTable:
    """How one file format spells dtypes: a table of the format's names and ours, looked up in both directions."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._ours = names
        self._theirs = {ours: theirs for theirs, ours in names.items()}

    def dtype(self, spelled: str) -> Dtype | None:
        """The little-endian dtype of a name in the file; None for a name that is not in the table."""
        ours = self._ours.get(spelled)
        return None if ours is None else _little_endian(ours)

    def spell(self, dtype: Dtype) -> str | None:
        """The format's name of a dtype of any byte order; None when the format cannot hold it."""
        return self._theirs.get(dtype_name(dtype))


@functools.cache
def _little_endian(name: str) -> Dtype:
    dtype = dtype_of(name)
    return dtype.newbyteorder("<") if is_native(dtype) else dtype
