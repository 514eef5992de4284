"""A source with other dtypes, which tells what these cannot hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ts_core.contract.arrays import Array
from ts_core.contract.byte_sources import release
from ts_core.contract.casting import cast, is_castable
from ts_core.contract.dtypes import dtype_name, dtype_of
from ts_core.contract.files import pieces
from ts_core.contract.nouns import CheckpointIndex
from ts_core.contract.readers import LazyTensors
from ts_core.conversion._report import ConversionRow, with_cast
from ts_core.errors import ArgumentError, ArgumentTypeError
from ts_core.sources import Indexed


class CastTensors(Indexed):
    """A source with other dtypes.

    Args:
        source: what is to be cast.
        casts: names of dtypes → names of the dtypes to have instead.

    Attributes:
        unused: the names of dtypes that no tensor has.
        changed: name of a tensor that was read → how many of its elements do not fit into the new dtype.

    Raises:
        ArgumentTypeError: `casts` is no mapping.
        ArgumentError: a cast would lose the imaginary part, or names a dtype that is unknown or no single number.
    """

    def __init__(self, source: LazyTensors, casts: Mapping[str, str]) -> None:
        if not isinstance(casts, Mapping):
            raise ArgumentTypeError(f"cast must be a dict, {{'bfloat16': 'float32'}}, not {type(casts).__name__}")
        self._source = source
        self.changed: dict[str, int] = {}
        dtypes = {dtype_name(dtype_of(old)): dtype_of(new) for old, new in casts.items()}
        for old, new in dtypes.items():
            if dtype_of(old).kind == "c" and new.kind != "c":
                raise ArgumentError(f"cast: {old} to {dtype_name(new)} would lose the imaginary part")
            if not is_castable(dtype_of(old)) or not is_castable(new):
                raise ArgumentError(f"cast: {old} to {dtype_name(new)}: qint4x2 packs two numbers into a byte")
        infos, found = {}, set()
        for name, info in source.index.items():
            dtype = dtypes.get(dtype_name(info.dtype), info.dtype)
            found.add(dtype_name(info.dtype))
            infos[name] = replace(info, dtype=dtype, nbytes=math.prod(info.shape) * dtype.itemsize)
        self.unused = [name for name in dtypes if name not in found]
        self._index = CheckpointIndex(infos, source.index.metadata)

    def read(self, name: str) -> Array:
        """One tensor; a copy if its dtype changes."""
        array, dtype = self._source.read(name), self._index[name].dtype
        if array.dtype == dtype:
            return array
        flat, position, changed = np.empty(array.size, dtype), 0, 0
        for piece in pieces(array) if array.size else ():
            into = flat[position : position + piece.size].reshape(piece.shape)
            changed += cast(piece, dtype, into)[1]
            position += piece.size
            if array.flags.c_contiguous:  # otherwise the next piece may need its pages again
                release(piece)
        if changed:
            self.changed[name] = changed
        return flat.reshape(array.shape)

    def told(self, row: ConversionRow, allowed: bool) -> ConversionRow:
        """The row of a conversion, with what became of the dtype and the elements of its target."""
        if row.target is None:
            return row
        before, after = self._source.index[row.target].dtype, self._index[row.target].dtype
        return with_cast(row, before, after, self.changed.get(row.target, 0), allowed)
