"""The one reader of `.npy` files: a file by itself, and the files of a folder. A large array is a view of its file."""

from __future__ import annotations

import functools
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ts_core.contract.dtypes import is_native
from ts_core.contract.file_map import map_file
from ts_core.contract.files import count_elements
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import CheckpointError, CheckpointNotFoundError, UnsafeCheckpointError

Array = np.ndarray[Any, np.dtype[Any]]
Identity = tuple[int, int, int]  # inode, size, and time of the last change in ns

_npy: Any = np.lib.format  # its functions are not typed

MAGIC = b"\x93NUMPY"  # with which an `.npy` file begins
SUFFIX = ".npy"
MAX_HEADER = 1 << 16  # bytes; a header holds a shape and a dtype
_MAPPED = 1 << 20  # bytes of a file from which it is mapped into memory instead of read
_ID = re.compile(r"(?:^|_)(\d+)$")
_HEADERS = {
    (1, 0): _npy.read_array_header_1_0,
    (2, 0): _npy.read_array_header_2_0,
}


class Header(NamedTuple):
    """The shape, order and dtype of an `.npy` file, where its elements start, and how many bytes they take."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    offset: int
    nbytes: int

    def array(self, data: Any) -> Array:
        """The elements in a buffer that holds the whole file, read-only if the buffer is."""
        if not self.nbytes:
            return np.empty(self.shape, self.dtype)
        flat = np.frombuffer(data, self.dtype, self.nbytes // self.dtype.itemsize, self.offset)
        return flat.reshape(self.shape, order="F" if self.fortran_order else "C")

    def require_numbers(self, label: str) -> None:
        """Raise CheckpointError when the elements are strings, dates or records."""
        if not is_native(self.dtype):
            raise CheckpointError(f"{label}: an array of dtype {self.dtype} holds no numbers")


def read_header(data: Any, label: str) -> Header:
    """The header that a buffer begins with; the format: ``numpy.lib.format``.

    Args:
        data: the bytes of the file, or at least the first `MAX_HEADER`.
        label: names the file in errors.

    Raises:
        CheckpointError: it is damaged, or of a newer version.
        UnsafeCheckpointError: the file holds pickled objects.
    """
    length = bytes(data[8:10] if data[6:7] == b"\1" else data[8:12])
    try:
        header = _parsed(bytes(data[: 8 + len(length) + min(int.from_bytes(length, "little"), MAX_HEADER)]))
    except Exception as problem:  # a damaged header fails in many ways, down to the tokenizer of Python
        # From None: what NumPy says quotes the file as it is, and a traceback would show it.
        raise CheckpointError(f"{label}: not an array in a .npy file: {problem}") from None
    if header.dtype.hasobject:
        raise UnsafeCheckpointError(f"{label}: holds pickled Python objects, which are not read")
    return header


@functools.lru_cache(maxsize=1024)
def _parsed(head: bytes) -> Header:
    """What a header says. Most files of a folder share theirs, and to parse one takes as long as to open the file."""
    stream = io.BytesIO(head)
    version = _npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format cannot be read")
    shape, fortran_order, dtype = _HEADERS[version](stream)
    return Header(shape, fortran_order, dtype, stream.tell(), count_elements(shape) * dtype.itemsize)


class NpyFiles(LazyTensors):
    """Files of one folder, each of which holds one tensor, as a source and as the reader of a checkpoint.

    A file is opened when its tensor is asked for: a folder may hold more files than a process may have open, and a
    damaged one need not keep anybody from the others. The whole index opens all of them.

    Args:
        folder: where the files are.
        files: name of the tensor → name of its file, and the identity that the file had when the source was opened.

    Attributes:
        path: the folder.
        names: of the tensors.
    """

    format = "npy"
    travels = True

    def __init__(self, folder: Path, files: Mapping[str, tuple[str, Identity]]) -> None:
        self.path = folder
        self.names = tuple(files)
        # Where the process goes later on, the files stay where they are.
        self._folder, self._files = os.path.abspath(folder), files  # noqa: PTH100 - resolves no links

    def __reduce__(self) -> tuple[type[NpyFiles], tuple[Path, Mapping[str, tuple[str, Identity]]]]:
        return NpyFiles, (Path(self._folder), self._files)

    @property
    def files(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The path of each file, and its identity with a 0 in the place of its device."""
        return tuple((self._place(name)[0], (0, *identity)) for name, (_, identity) in self._files.items())

    @functools.cached_property
    def index(self) -> CheckpointIndex:
        """Names, shapes and dtypes. Raises CheckpointError for the first file that holds no array of numbers."""
        infos = {}
        for name in self.names:
            with _Opened(*self._place(name)) as file:
                file.header.require_numbers(file.path)
                file.require_whole()
                infos[name] = file.info(name)
        return CheckpointIndex(infos)

    def info(self, name: str) -> TensorInfo:
        """Shape and dtype from the header of one file. Raises CheckpointError when it has none."""
        with _Opened(*self._place(name)) as file:
            return file.info(name)

    def nbytes(self, name: str) -> int:
        """The size of a file, which need not be opened for it; 0 when there was none."""
        return self._files[name][1][1] if name in self._files else 0

    def read(self, name: str) -> Array:
        """The array in a file, read-only, a view of the mapped file when it is large.

        Raises:
            CheckpointError: the file is missing, damaged, or another than when the source was opened.
            UnsafeCheckpointError: it holds pickled objects, which are not read.
        """
        with _Opened(*self._place(name)) as file:
            array = file.array()
            index: CheckpointIndex | None = self.__dict__.get("index")  # if it was asked for
            told = array if index is None else index[name]
            if (array.shape, array.dtype) != (told.shape, told.dtype):  # sooner than the clock of the file system ticks
                raise file.replaced()
            return array

    def renamed(self, names: Mapping[str, str]) -> NpyFiles:
        """The same files under other names. Args: names: new name → old name."""
        return NpyFiles(self.path, {new: self._files[old] for new, old in names.items()})

    @property
    def metadata(self) -> Mapping[str, object]:
        """There is none."""
        return {}

    def _place(self, name: str) -> tuple[str, Identity | None]:
        file, identity = self._files.get(name, (name, None))
        return os.path.join(self._folder, file), identity  # noqa: PTH118 - pathlib costs more

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for somebody who would write into a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Opened:
    """An `.npy` file that is open, and what its header says."""

    def __init__(self, path: str, identity: Identity | None) -> None:
        self.path = path
        try:
            self._file = open(path, "rb", buffering=0, opener=_at_once)  # noqa: SIM115 - see __exit__
        except FileNotFoundError as problem:
            raise CheckpointNotFoundError(f"{path}: there is no such file") from problem
        except OSError as problem:
            raise CheckpointError(f"{path}: cannot be opened: {problem.strerror}") from problem
        try:
            self._read_header(identity)
        except BaseException:
            self._file.close()
            raise

    def _read_header(self, identity: Identity | None) -> None:
        status = os.fstat(self._file.fileno())
        if identity not in (None, identity_of(status)):
            raise self.replaced()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{self.path}: it is a pipe or a device, and no file")
        self._size = status.st_size
        self._head = self._file.read(self._size if self._size < _MAPPED else MAX_HEADER) or b""
        self.header = read_header(self._head, self.path)

    def info(self, name: str) -> TensorInfo:
        return TensorInfo(name, self.header.shape, self.header.dtype, self.header.nbytes)

    def require_whole(self) -> None:
        shape, _, dtype, offset, nbytes = self.header
        if offset + nbytes != self._size:
            state = "incomplete" if offset + nbytes > self._size else "damaged"
            raise CheckpointError(
                f"{self.path}: {shape} of {dtype} does not fill a file of {self._size} bytes: it is {state}"
            )

    def array(self) -> Array:
        self.require_whole()
        return self.header.array(self._mapped() if self._size >= _MAPPED else self._head)

    def _mapped(self) -> memoryview:
        data, file = map_file(self.path)
        if file.identity[1:] != identity_of(os.fstat(self._file.fileno())):
            raise self.replaced()
        return data

    def replaced(self) -> CheckpointError:
        """The error for another file than the one that was opened at first."""
        return CheckpointError(f"{self.path}: the file was replaced since it was opened; open it again")

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def identity_of(status: os.stat_result) -> Identity:
    """What tells a file from another of the same path, on every machine: devices have other numbers elsewhere."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def npy_folder(folder: Path, *, bare: bool = True) -> NpyFiles:
    """The `.npy` files directly in a folder, in the order of :func:`saved_order`.

    Args:
        folder: the folder.
        bare: name the tensors like their files without ``.npy``, as ``ts.open_checkpoint`` does.
    """
    with os.scandir(folder) as entries:
        identities = {entry.name: _identity(entry.path) for entry in entries if entry.name.endswith(SUFFIX)}
    found = {
        name.removesuffix(SUFFIX) if bare else name: (name, identity)
        for name, identity in identities.items()
        if identity is not None
    }
    return NpyFiles(folder, {name: found[name] for name in sorted(found, key=saved_order)})


def _identity(path: str) -> Identity | None:
    """That of a regular file, None for anything else. A link that leads nowhere is one that cannot be read."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib costs more
    except OSError:
        return 0, 0, 0
    return identity_of(status) if stat.S_ISREG(status.st_mode) else None


def npy_file(path: Path) -> NpyFiles:
    """A `.npy` file by itself. Its tensor has the same name in every such file, so that any two can be compared."""
    return NpyFiles(path.parent, {"array": (path.name, identity_of(path.stat()))})


def saved_order(name: str) -> tuple[bool, int, list[tuple[bool, int, str]]]:
    """The key that sorts names by the number they end with, then names without one; ties in natural order."""
    number = _ID.search(name.removesuffix(SUFFIX))
    return number is None, int(number[1]) if number else 0, _natural_order(name)


def _natural_order(name: str) -> list[tuple[bool, int, str]]:
    """The key that sorts ``x2`` before ``x10``."""
    parts = re.split(r"(\d+)", name)
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]
