"""A file mapped into memory that knows where it came from, so that another process can map the same."""

from __future__ import annotations

import mmap
import os
from typing import BinaryIO


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

    def __new__(cls, file: BinaryIO) -> FileMap:
        """Map the whole file."""
        self = super().__new__(cls, file.fileno(), 0, access=mmap.ACCESS_READ)
        status = os.fstat(file.fileno())
        self.path = os.path.abspath(file.name)  # noqa: PTH100 - resolves no links
        self.identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return self
