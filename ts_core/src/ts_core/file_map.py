"""A file mapped into memory that knows where it came from: what is only to be copied, or mapped elsewhere, can be."""

from __future__ import annotations

import mmap
import os
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
        descriptor: of the file, open for as long as the map lives.

    Raises:
        ValueError: the file is empty.
    """

    path: str
    identity: tuple[int, ...]
    descriptor: int = -1

    def __new__(cls, file: BinaryIO) -> FileMap:
        """Map the whole file."""
        self = super().__new__(cls, file.fileno(), 0, access=mmap.ACCESS_READ)
        status = os.fstat(file.fileno())
        self.path = os.path.abspath(file.name)  # noqa: PTH100 - resolves no links
        self.identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        self.descriptor = os.dup(file.fileno())
        return self

    def __del__(self) -> None:
        """The map goes with its last view, and the descriptor with the map."""
        if self.descriptor >= 0:
            os.close(self.descriptor)


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


def copy_bytes(source: Array, target: Array) -> None:
    """Copy one contiguous array to another of the same dtype, whether aligned or not.

    What lies in a file is read from there: to have its pages mapped as well would take longer than to copy them.
    """
    place = place_of(source)
    if place is None or not _read(*place, target):
        np.copyto(target.reshape(-1).view(np.uint8), source.reshape(-1).view(np.uint8))  # bytes have no alignment


def _read(file: FileMap, offset: int, target: Array) -> bool:
    """Fill an array from a file; False where the system cannot, or the file has become shorter."""
    return hasattr(os, "preadv") and os.preadv(file.descriptor, [target.data], offset) == target.nbytes


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
