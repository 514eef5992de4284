"""Arrays that are kept while a network runs: in memory up to a limit, beyond it in a temporary file."""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from typing import IO, Any

import numpy as np

from ts_core.errors import ArgumentError

Array = np.ndarray[Any, np.dtype[Any]]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def as_bytes(memory: int | str) -> int:
    """A size in bytes, from a number or a text such as ``"512MB"``. Raises ArgumentError when it is none."""
    if isinstance(memory, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", memory.strip())
        if found and found[2].upper() in _UNITS:
            return int(float(found[1]) * _UNITS[found[2].upper()])
    elif isinstance(memory, int) and not isinstance(memory, bool) and memory >= 0:
        return memory
    raise ArgumentError(f'memory={memory!r} is no size: give a number of bytes, or a text as "512MB" or "4GB"')


class Store:
    """Named arrays, which it keeps as copies; of several with the same bits, one.

    Args:
        memory: bytes that it may hold; what comes later goes to a temporary file, which ends with the store.
    """

    def __init__(self, memory: int) -> None:
        self._room = memory
        self._kept: dict[str, Array] = {}
        self._spilled: dict[str, tuple[int, tuple[int, ...], np.dtype[Any]]] = {}
        self._file: IO[bytes] | None = None
        self._known: dict[tuple[Any, ...], str] = {}
        self.names: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}

    def put(self, name: str, array: Array) -> str:
        """Keep a copy; the name under which it is found: another one where an array of the same bits was kept."""
        if array.nbytes:
            content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            key = (array.shape, array.dtype, zlib.crc32(content), zlib.adler32(content))
            if key in self._known:
                return self._known[key]
            self._known[key] = name
        self.names[name] = array.shape, array.dtype
        if array.nbytes <= self._room:
            self._kept[name] = np.array(array)
            self._room -= array.nbytes
        else:
            self._spill(name, array)
        return name

    def _spill(self, name: str, array: Array) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="ts-trace-")  # noqa: SIM115 - it lives as long as the store
        begin = self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self._spilled[name] = begin, array.shape, array.dtype

    def get(self, name: str) -> Array:
        """The array of a name. Raises KeyError for an unknown one."""
        if name in self._kept:
            return self._kept[name]
        begin, shape, dtype = self._spilled[name]
        assert self._file is not None
        array = np.empty(shape, dtype)
        self._file.seek(begin)
        self._file.readinto(array.reshape(-1).view(np.uint8).data)  # type: ignore[attr-defined]
        return array

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
