"""Files mapped into memory that know where they came from: what is to be copied, or mapped elsewhere, can be.

A map holds no file descriptor, so that more files may be mapped than a process may have open: :mod:`mmap` of Python
keeps one for each map, and the C library's own call needs none. For copies a few descriptors are kept.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ts_core.errors import CheckpointError

Array = np.ndarray[Any, np.dtype[Any]]
Identity = tuple[int, int, int, int]

_MOST_OPEN = 32  # descriptors for copies
_MADV_DONTNEED = 4
_MADV_POPULATE_READ = 22  # Linux 5.14
_SYNC_FILE_RANGE_WRITE = 2


class FileMap:
    """The bytes of a file, mapped into memory for as long as anybody holds a view of them.

    Args:
        path: of the file.
        descriptor: of the file, which is not needed afterwards.

    Attributes:
        path: of the file, absolute.
        identity: device, inode, size, and time of the last change in ns: another file of the same path has another.
        address: of its first byte.

    Raises:
        OSError: it cannot be mapped.
        ValueError: it is empty.
    """

    __slots__ = ("_fallback", "address", "identity", "path")

    def __init__(self, path: str | os.PathLike[str], descriptor: int) -> None:
        self.address, self._fallback = 0, None
        self.path = os.path.abspath(path)  # noqa: PTH100 - resolves no links
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if not status.st_size:
            raise ValueError("cannot map an empty file")
        if (library := _library()) is None:
            self._fallback = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            self.address = _address(np.frombuffer(self._fallback, np.uint8))
            return
        address = library.mmap(None, status.st_size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address == ctypes.c_void_p(-1).value:
            problem = ctypes.get_errno()
            raise OSError(problem, os.strerror(problem), self.path)
        self.address = address

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """What makes an array of it, which nobody can make writable: its bytes, and that they are read-only."""
        return {"version": 3, "typestr": "|u1", "shape": (self.identity[2],), "data": (self.address, True)}

    def __del__(self) -> None:
        """The map goes with its last view, and the descriptor with the map; unless all ends, and there is no module."""
        if _descriptors is not None:
            _descriptors.pop(id(self), None)
            if self.address and self._fallback is None:
                _library().munmap(self.address, self.identity[2])


class _Descriptor:
    """An open file, closed when nobody reads from it any more."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


# id(map) → its descriptor, the least recently used first. Each step is one operation of a dictionary, so that threads
# need no lock, which a fork might find held; a descriptor that is dropped here stays open for whoever reads from it.
_descriptors: dict[int, _Descriptor] = {}


def open_regular(path: str | os.PathLike[str]) -> int:
    """A descriptor for reading a regular file. Raises OSError for all else: a pipe might have nothing to say, ever."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    problem = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise OSError(problem, os.strerror(problem) if stat.S_ISDIR(mode) else "it is a pipe or a device, and no file")


def map_file(path: str | os.PathLike[str]) -> tuple[memoryview, FileMap]:
    """Map a file for reading: its bytes, and what is known of it. The map lasts as long as a view of the bytes.

    Raises:
        OSError: it cannot be opened or mapped, or is no regular file: to open a pipe might never end.
        ValueError: it is empty.
    """
    descriptor = open_regular(path)
    try:
        file = FileMap(path, descriptor)
    finally:
        os.close(descriptor)
    return np.asarray(file).data, file


def place_of(array: Array) -> tuple[FileMap, int] | None:
    """The map that an array is a view of, and the byte in it at which the first element lies; None without a map."""
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return (base, _address(array) - base.address) if isinstance(base, FileMap) else None


def map_of(array: Array) -> FileMap | None:
    """The map that an array is a view of, if it is one."""
    place = place_of(array)
    return None if place is None else place[0]


def require_unchanged(file: FileMap | None) -> None:
    """Ask the system whether a mapped file is as it was: to look at the map beyond its end would end the process.

    Of a file that another has replaced by rename, or that was removed, the map stays as it is.

    Raises:
        CheckpointError: it was cut off, or written to, in place.
    """
    if file is None:
        return
    try:
        status = os.stat(file.path)  # noqa: PTH116 - pathlib costs more
    except OSError:
        return
    here, there = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns), file.identity
    if here != there and here[:2] == there[:2]:
        if here[2] < there[2]:
            raise _shorter(file)
        raise CheckpointError(f"{file.path}: the file was changed since it was opened; open it again")


def _shorter(file: FileMap) -> CheckpointError:
    return CheckpointError(f"{file.path}: the file has become shorter since it was opened")


def release(*arrays: Array) -> None:
    """Let go of the pages that arrays in mapped files made present; whoever looks again gets them anew.

    What lies between several arrays of one file goes with them.
    """
    spans: dict[int, tuple[int, int]] = {}
    for array in arrays:
        if array.size and (place := place_of(array)) is not None:
            low, high = (_address(array) + end for end in _reach(array))
            first, last = spans.get(id(place[0]), (low, high))
            spans[id(place[0])] = min(low, first), max(high, last)
    for low, high in spans.values():
        _advise(low, high - low, _MADV_DONTNEED)


def prefault(array: Array) -> None:
    """Make the pages of a contiguous array present in one go, several times faster than to fault them in singly."""
    if sys.platform == "linux" and array.size:
        _advise(_address(array), array.nbytes, _MADV_POPULATE_READ)


def begin_writeback(descriptor: int) -> None:
    """Let the disk begin with what was written, so that the sync at the end finds little left to wait for."""
    if (library := _library()) is not None and hasattr(library, "sync_file_range"):
        library.sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


def copy_bytes(source: Array, target: Array) -> None:
    """Copy one contiguous array to another of the same dtype, whether aligned or not.

    What lies in a file is read from there: to have its pages mapped as well would take longer than to copy them.

    Raises:
        OSError: the file cannot be read.
        CheckpointError: it has become too short.
    """
    into, place = target.reshape(-1).view(np.uint8), place_of(source)
    if place is None or not _read(*place, into):
        np.copyto(into, source.reshape(-1).view(np.uint8))  # bytes have no alignment


def _read(file: FileMap, offset: int, into: Array) -> bool:
    """Fill an array of bytes from a file; False where the system has no call for it, or the file is not to be found."""
    if not hasattr(os, "preadv") or (descriptor := _descriptor(file)) is None:
        return False
    rest = into.data
    while rest:
        count = os.preadv(descriptor.number, [rest], offset)
        if not count:
            raise _shorter(file)
        rest, offset = rest[count:], offset + count
    return True


def _descriptor(file: FileMap) -> _Descriptor | None:
    """A descriptor of a mapped file; None when its path leads there no more."""
    found = _descriptors.pop(id(file), None) or _opened(file)
    if found is not None:
        _descriptors[id(file)] = found
        for key in list(_descriptors)[:-_MOST_OPEN]:
            _descriptors.pop(key, None)
    return found


def _opened(file: FileMap) -> _Descriptor | None:
    try:
        descriptor = _Descriptor(open_regular(file.path))
    except OSError:
        return None
    status = os.fstat(descriptor.number)
    return descriptor if (status.st_dev, status.st_ino) == file.identity[:2] else None


def _reach(array: Array) -> tuple[int, int]:
    """From which byte to which, counted from its first element, an array reaches."""
    steps = [(size - 1) * step for size, step in zip(array.shape, array.strides, strict=True)]
    return sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + array.itemsize


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _advise(address: int, length: int, advice: int) -> None:
    """Tell the system about the pages of some bytes. Where that fails, nothing is lost."""
    if (library := _library()) is not None:
        start = address - address % mmap.PAGESIZE
        library.madvise(start, address + length - start, advice)


@functools.cache
def _library() -> Any:
    """The C library, where its calls are known to take what is given here; else None."""
    if sys.platform not in ("linux", "darwin") or sys.maxsize < 1 << 32:
        return None
    library: Any = ctypes.CDLL(None, use_errno=True)
    pointer, size, number, place = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64
    library.mmap.argtypes, library.mmap.restype = [pointer, size, number, number, number, place], pointer
    library.munmap.argtypes = [pointer, size]
    library.madvise.argtypes = [pointer, size, number]
    if hasattr(library, "sync_file_range"):
        library.sync_file_range.argtypes = [number, place, place, ctypes.c_uint]
    return library
