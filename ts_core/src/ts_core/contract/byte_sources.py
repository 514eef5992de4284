"""Where the bytes of a checkpoint come from: the noun that readers see, and the local file that is mapped into memory.

A reader asks for ranges only, so that another source may fetch them from elsewhere when they are asked for.
"""

from __future__ import annotations

import errno
import io
import math
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ts_core.contract.file_map import copy_bytes as copy_bytes
from ts_core.contract.file_map import map_file, require_unchanged
from ts_core.contract.file_map import place_of as place_of
from ts_core.contract.file_map import release as release
from ts_core.errors import CheckpointError, CheckpointNotFoundError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Array = np.ndarray[Any, np.dtype[Any]]

_CHUNK = 1 << 24  # bytes, for checksums


class ByteSource(ABC):
    """The bytes of one file, which is open: every reader of its content shares it.

    Attributes:
        path: what messages call it.
        identity: tells it from another file of the same path; two equal ones are the same content.
        parsed: what one reader found out that another may need, by a name of its own.
    """

    def __init__(self, path: Path, identity: tuple[int, ...]) -> None:
        self.path, self.identity = path, identity
        self.parsed: dict[str, Any] = {}

    @abstractmethod
    def __len__(self) -> int:
        """The size in bytes."""

    @abstractmethod
    def read(self, start: int, stop: int) -> memoryview:
        """The bytes from one position to another, read-only; fewer where the file ends before."""

    def array(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...] | None = None
    ) -> Array:
        """Read-only elements that start at a byte offset: a view where the bytes are in reach.

        Args:
            offset: of the first element, in bytes.
            shape: of the array.
            dtype: of the elements.
            strides: in bytes; by default those of C order.

        Raises:
            CheckpointError: they would lie outside the file.
        """
        if strides is None:
            low, high = 0, math.prod(shape) * dtype.itemsize
        else:
            steps = [(size - 1) * step for size, step in zip(shape, strides, strict=True)]
            low, high = sum(step for step in steps if step < 0), sum(step for step in steps if step > 0)
            high += dtype.itemsize
        if min(shape, default=1) < 0 or offset + low < 0 or offset + high > len(self):
            raise self.error(f"{shape} elements of {dtype.name} at byte {offset} lie outside the file")
        if 0 in shape:
            empty = np.empty(shape, dtype)
            empty.flags.writeable = False
            return empty
        return np.ndarray(shape, dtype, self.read(offset + low, offset + high), -low, strides)

    def crc32(self, start: int, stop: int) -> int:
        """The CRC-32 of the bytes from one position to another, without keeping them in memory."""
        checksum = 0
        for position in range(start, stop, _CHUNK):
            chunk = self.read(position, min(position + _CHUNK, stop))
            checksum = zlib.crc32(chunk, checksum)
            release(np.frombuffer(chunk, np.uint8))
        return checksum

    def require_unchanged(self) -> None:  # noqa: B027 - a source may not be able to tell
        """Raise CheckpointError if the file was cut off or written to since it was opened; as :meth:`array` does."""

    def stream(self) -> BinaryIO:
        """The bytes as an open file, for parsers that want one."""
        return io.BufferedReader(_Stream(self))

    def error(self, reason: str) -> CheckpointError:
        """The exception that says what is wrong with this file."""
        return CheckpointError(f"{self.path}: {reason}")

    def close(self) -> None:  # noqa: B027 - there may be nothing to let go of
        """Let go of the file; what was handed out stays valid."""


class MappedFile(ByteSource):
    """A local file that is mapped into memory: what it hands out are views of the map, which keep it alive.

    They stay valid after :meth:`close`, and after another file has taken this one's name. It holds no file descriptor.

    Raises:
        CheckpointNotFoundError: there is no such file.
        CheckpointError: it is empty, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._data, file = map_file(path)
        except ValueError as problem:
            raise CheckpointError(f"{path}: the file is empty") from problem
        except FileNotFoundError as problem:
            raise CheckpointNotFoundError(f"{path}: there is no such file") from problem
        except OSError as problem:
            raise CheckpointError(f"{path}: cannot be opened: {problem.strerror}") from problem
        super().__init__(path, file.identity)
        self._map = file

    def __len__(self) -> int:
        return len(self._data)

    def array(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...] | None = None
    ) -> Array:
        """A view of the map. Raises CheckpointError also when the file was changed since it was opened."""
        require_unchanged(self._map)
        return super().array(offset, shape, dtype, strides)

    def crc32(self, start: int, stop: int) -> int:
        """The same, of a file that was not changed meanwhile."""
        require_unchanged(self._map)
        return super().crc32(start, stop)

    def require_unchanged(self) -> None:
        """Ask the system. Raises CheckpointError."""
        require_unchanged(self._map)

    def read(self, start: int, stop: int) -> memoryview:
        """A view of the map."""
        return self._data[start:stop]

    def close(self) -> None:
        """Let go of the map, which is undone when the last view of it is gone."""
        self._data = memoryview(b"")
        self.parsed = {}


class _Stream(io.RawIOBase):
    """A byte source as a file that is read from a position on."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self._position = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._source)}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer)
        part = self._source.read(self._position, self._position + len(into))
        into[: len(part)] = part
        self._position += len(part)
        return len(part)
