"""What readers and writers of files share: arrays as blocks of bytes, a file that is written, errors that name it."""

from __future__ import annotations

import io
import math
import os
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.file_map import begin_writeback, map_of, open_regular, prefault, release, require_unchanged
from ts_core.errors import (
    ArgumentError,
    ArgumentTypeError,
    CheckpointError,
    CheckpointNotFoundError,
    TsError,
    WeightMapError,
)

Array = np.ndarray[Any, np.dtype[Any]]

_BUFFER = 1 << 20  # bytes; small writes are gathered, larger ones go straight from the array to the file
RELEASED = 1 << 14  # bytes from which it is worth the call to let go of an array's pages
_WRITE = 1 << 17  # bytes a system call: measured; larger calls make Linux take large, cold pages for its cache
_BLOCK = 1 << 24  # bytes that are made present, and handed to the disk, at once
_MOST_DIMENSIONS = 32  # of NumPy 1; NumPy 2 has 64
_MOST_ELEMENTS = 1 << 59  # of 16 bytes each make 2^63 bytes


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


def raw_blocks(array: Array) -> Iterator[memoryview]:
    """The bytes of :func:`raw_bytes` in consecutive blocks, so that no large array is ever copied as a whole.

    A mapped array's pages are present while its block is looked at, and let go of afterwards.

    Args:
        array: any layout, any byte order.

    Yields:
        One-dimensional views of bytes, each valid until the next one.

    Raises:
        CheckpointError: the file that the array is a view of was changed in place.
    """
    file = map_of(array)
    if not array.flags.c_contiguous:
        for piece in pieces(array):
            require_unchanged(file)
            yield raw_bytes(piece)
        release(array)  # at the end alone: each piece may need all of its pages
        return
    flat = array.reshape(-1)
    count = _BLOCK // array.itemsize
    for start in range(0, flat.size, count):
        block = flat[start : start + count]
        require_unchanged(file)
        if block.nbytes >= _BUFFER:
            prefault(block)
        yield raw_bytes(block)
        if block.nbytes >= RELEASED:
            release(block)


def pieces(array: Array) -> Iterator[Array]:
    """An array of any layout in parts that follow each other in C order, none larger than a block of 16 MiB."""
    rows = _BLOCK * len(array) // array.nbytes if array.ndim else 1
    if rows >= len(array):
        yield array
    elif rows:
        yield from (array[start : start + rows] for start in range(0, len(array), rows))
    else:
        for row in array:
            yield from pieces(row)


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

    def write_array(self, array: Array) -> None:
        """Append the elements of an array, little-endian and in C order."""
        for block in raw_blocks(array):
            self.write(block)

    def _write_large(self, data: memoryview) -> None:
        for start in range(0, len(data), _WRITE):
            part = data[start : start + _WRITE]
            while part:
                part = part[self._raw.write(part) :]
        begin_writeback(self._raw.fileno())

    def seek(self, position: int) -> None:
        """Go on writing at this byte."""
        if position != self.position:
            self._file.seek(position)
            self.position = position

    def finish(self) -> None:
        """Hand what was gathered to the system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; after a failure to write it, what was gathered is of no use and fails again."""
        with suppress(OSError):
            self._file.close()


def path_of(given: object, parameter: str = "path") -> Path:
    """The path that a caller gave as this parameter.

    Raises:
        ArgumentTypeError: it is neither a str nor an os.PathLike of str.
        ArgumentError: it is empty, which would be the current folder.
    """
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise ArgumentTypeError(f"{parameter} must be a path, not {type(given).__name__}")
    if not os.fspath(given):
        raise ArgumentError(f"{parameter} is empty")
    return Path(given)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a parser stumbles over in a file, or the system says of it, into an error that names the file."""
    try:
        yield
    except WeightMapError as problem:  # a transform in the file that is none
        raise CheckpointError(f"{path}: the file is damaged: {problem}") from problem
    except TsError:
        raise
    except FileNotFoundError as problem:
        raise CheckpointNotFoundError(f"{path}: there is no such file") from problem
    except OSError as problem:
        raise CheckpointError(f"{path}: cannot be read: {problem.strerror or problem}") from problem
    except (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RecursionError) as problem:
        raise CheckpointError(f"{path}: the file is damaged: {type(problem).__name__}: {problem}") from problem
    except (TypeError, ValueError, SyntaxError, struct.error) as problem:
        raise CheckpointError(f"{path}: the file is damaged: {problem}") from problem
    except RuntimeError as problem:  # of a library that parses it (HDF5)
        raise CheckpointError(f"{path}: the file cannot be read: {type(problem).__name__}: {problem}") from problem


def read_text(path: str | os.PathLike[str]) -> str:
    """The text in a regular file, in UTF-8. Raises OSError for a pipe or a device, and UnicodeDecodeError."""
    with os.fdopen(open_regular(path), encoding="utf-8-sig") as file:
        return file.read()


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` for JSON in which a key that is there twice would mean two things."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} is there twice")
    return entries
