"""Files as the readers and writers of all formats use them: memory-mapped for reading, streamed for writing."""

from __future__ import annotations

import functools
import io
import math
import mmap
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.file_map import FileMap
from ts_core.errors import CheckpointError, CheckpointNotFoundError, TsError

Array = np.ndarray[Any, np.dtype[Any]]

_BUFFER = 1 << 20  # bytes; small writes are gathered, larger ones go straight from the array to the file
_WRITE = 1 << 17  # bytes a system call: measured; larger calls make Linux take large, cold pages for its cache
_BLOCK = 1 << 24  # bytes that are made present, and handed to the disk, at once
_MADV_POPULATE_READ = 22  # Linux 5.14
_SYNC_FILE_RANGE_WRITE = 2
_MOST_DIMENSIONS = 32  # of NumPy 1; NumPy 2 has 64
_MOST_ELEMENTS = 1 << 59  # of 16 bytes each make 2^63 bytes


class MappedFile:
    """A file mapped into memory for reading, whose tensors are views of the map.

    A view keeps the map alive: it stays valid after :meth:`close`, and after another file has taken this one's name.

    Attributes:
        path: where the file was when it was opened.
        data: its bytes, read-only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map: FileMap | None = FileMap(file)
        except ValueError as problem:
            raise CheckpointError(f"{path}: the file is empty") from problem
        except FileNotFoundError as problem:
            raise CheckpointNotFoundError(f"{path}: there is no such file") from problem
        except OSError as problem:
            raise CheckpointError(f"{path}: cannot be opened: {problem.strerror}") from problem
        self.data = memoryview(self._map)

    def __len__(self) -> int:
        return len(self.data)

    def array(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A read-only view of the elements that start at a byte offset, in C order.

        Raises:
            CheckpointError: they would lie outside the file.
        """
        count = math.prod(shape)
        if offset < 0 or count < 0 or offset + count * dtype.itemsize > len(self.data):
            raise self.error(f"{count} elements of {dtype.name} at byte {offset} lie outside the file")
        return view(self.data, offset, shape, dtype)

    def error(self, reason: str) -> CheckpointError:
        """The exception that says what is wrong with this file."""
        return CheckpointError(f"{self.path}: {reason}")

    def close(self) -> None:
        """Let go of the file; the map is undone when the last view of it is gone."""
        self._map = None
        self.data = memoryview(b"")


def count_elements(shape: tuple[int, ...]) -> int:
    """The number of elements of an array of a shape that a file states.

    Raises:
        ValueError: no array has that shape: too many dimensions, negative sizes, sizes that are no whole numbers or
            more than memory could ever address.
    """
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a shape of {len(shape)} dimensions; arrays have at most {_MOST_DIMENSIONS}")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"the shape {shape!r:.200} is not made of whole numbers from 0 on")
    if math.prod(size for size in shape if size) >= _MOST_ELEMENTS:
        raise ValueError(f"the shape {shape!r:.200} is too large for an array")
    return math.prod(shape)


def view(data: memoryview, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array over part of a buffer, in C order; the caller has checked that the part is inside."""
    count = math.prod(shape)
    if count == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(data, np.uint8, count * dtype.itemsize, offset).view(dtype).reshape(shape)


def raw_bytes(array: Array) -> memoryview:
    """The elements of an array as bytes, little-endian and in C order: the array's own memory where it is so already.

    Args:
        array: any layout, any byte order.

    Returns:
        A one-dimensional view of bytes.
    """
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not np.little_endian):
        array = array.astype(array.dtype.newbyteorder("<"))
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).data if flat.size else memoryview(b"")


class OutputFile:
    """A file that is written from start to end: small pieces are gathered, tensors go to the system as they are."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("wb", buffering=0)
        self._file = io.BufferedWriter(self._raw, _BUFFER)
        self.position = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        if len(data) < _BUFFER:
            self._file.write(data)
        else:
            self._file.flush()
            self._write_large(memoryview(data))
        self.position += len(data)

    def _write_large(self, data: memoryview) -> None:
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            _prefault(block)
            written = 0
            while written < len(block):
                written += self._raw.write(block[written : written + _WRITE])
            _begin_writeback(self._raw.fileno())

    def write_at(self, position: int, data: bytes | memoryview) -> None:
        """Put bytes at a position of their own."""
        if position != self.position:
            self.seek(position)
        self.write(data)

    def seek(self, position: int) -> None:
        """Go on writing at this byte."""
        self._file.seek(position)
        self.position = position

    def finish(self) -> None:
        """Hand what was gathered to the system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; after a failure to write it, what was gathered is of no use and fails again."""
        with suppress(OSError):
            self._file.close()


def _prefault(data: memoryview) -> None:
    """Make mapped pages present in one go, which is several times faster than to fault them in one by one."""
    if (libc := _libc()) is not None:
        address = np.frombuffer(data, np.uint8).ctypes.data
        start = address - address % mmap.PAGESIZE
        libc.madvise(start, address + len(data) - start, _MADV_POPULATE_READ)


def _begin_writeback(descriptor: int) -> None:
    """Let the disk begin with what was written, so that the sync at the end finds little left to wait for."""
    if (libc := _libc()) is not None:
        libc.sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _libc() -> Any:
    """The C library of Linux for two calls that only give advice: where one fails, nothing is lost."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "sync_file_range"):
        return None
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return libc


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a parser stumbles over in a damaged file into an error that names the file."""
    try:
        yield
    except TsError:
        raise
    except (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RecursionError) as problem:
        raise CheckpointError(f"{path}: the file is damaged: {type(problem).__name__}: {problem}") from problem
    except (TypeError, ValueError, SyntaxError, struct.error) as problem:
        raise CheckpointError(f"{path}: the file is damaged: {problem}") from problem


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` for JSON in which a key that is there twice would mean two things."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} is there twice")
    return entries
