"""A file mapped into memory that knows where it came from: what is only to be copied, or mapped elsewhere, can be."""

from __future__ import annotations

import mmap
import os
import threading
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class FileMap(mmap.mmap):
    """The bytes of a file, mapped into memory for reading; it knows which file.

    Args:
        file: opened by its path, for reading; it may be closed afterwards.

    Attributes:
        path: of the file, absolute.
        identity: device, inode, size, and time of the last change in ns: another file of the same path has another.

    Raises:
        ValueError: the file is empty.
    """

    path: str
    identity: tuple[int, ...]
    _descriptor: int = -1
    _opening: threading.Lock

    def __new__(cls, file: BinaryIO) -> FileMap:
        """Map the whole file."""
        self = super().__new__(cls, file.fileno(), 0, access=mmap.ACCESS_READ)
        status = os.fstat(file.fileno())
        self.path = os.path.abspath(file.name)  # noqa: PTH100 - resolves no links
        self.identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        self._opening = threading.Lock()
        return self

    def __del__(self) -> None:
        """The map goes with its last view, and the descriptor with the map."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def descriptor(self) -> int:
        """A descriptor of the file, open for as long as the map lives; -1 when its path leads there no more.

        It is opened when it is first asked for: the map has one of its own, and of a checkpoint of many shards a
        process may not be able to open all twice.
        """
        with self._opening:
            if self._descriptor < 0:
                self._descriptor = self._opened()
            return self._descriptor

    def _opened(self) -> int:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return -1
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) == self.identity[:2]:
            return descriptor
        os.close(descriptor)
        return -1


def place_of(array: Array) -> tuple[FileMap, int] | None:
    """The map that an array is a view of, and the byte in it at which the first element lies; None without a map."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if not isinstance(base, FileMap):
        return None
    return base, _address(array) - _address(np.frombuffer(base, np.uint8))


def release(*arrays: Array) -> None:
    """Let go of the pages that arrays in mapped files made present; whoever looks again gets them anew.

    What lies between several arrays of one file goes with them.
    """
    spans: dict[int, tuple[FileMap, int, int]] = {}
    for array in arrays:
        if array.size and (place := place_of(array)) is not None:
            file, first = place
            last = first + array.itemsize
            if array.flags.c_contiguous:
                last = first + array.nbytes
            else:
                last += sum(
                    (size - 1) * step for size, step in zip(array.shape, array.strides, strict=True) if step > 0
                )
            _, low, high = spans.get(id(file), (file, first, last))
            spans[id(file)] = file, min(low, first), max(high, last)
    for file, low, high in spans.values():
        if hasattr(mmap, "MADV_DONTNEED"):
            start = low - low % mmap.PAGESIZE
            file.madvise(mmap.MADV_DONTNEED, start, high - start)


def copy_bytes(source: Array, target: Array) -> None:
    """Copy one contiguous array to another of the same dtype, whether aligned or not.

    What lies in a file is read from there: to have its pages mapped as well would take longer than to copy them.

    Raises:
        OSError: the file cannot be read, or has become too short.
    """
    into, place = target.reshape(-1).view(np.uint8), place_of(source)
    if place is None or not _read(*place, into):
        np.copyto(into, source.reshape(-1).view(np.uint8))  # bytes have no alignment


def _read(file: FileMap, offset: int, into: Array) -> bool:
    """Fill an array of bytes from a file; False where the system has no call for it, or the file is not to be found."""
    if not hasattr(os, "preadv") or (descriptor := file.descriptor()) < 0:
        return False
    rest = into.data
    while rest:
        count = os.preadv(descriptor, [rest], offset)
        if not count:
            raise OSError(f"{file.path}: the file has become shorter since it was opened")
        rest, offset = rest[count:], offset + count
    return True


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
