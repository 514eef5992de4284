"""A folder of saved tensors, one ``.npy`` file each, named ``<name>_<dtype>_<id>.npy`` by ``ts.save``."""

from __future__ import annotations

import functools
import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ts_core.contract.byte_sources import MappedFile
from ts_core.contract.nouns import TensorInfo
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError, UnsafeCheckpointError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

NamePair = tuple[str | None, str | None]

_MAPPED = 1 << 20  # bytes of data from which a file is mapped into memory instead of read
_MAX_HEADER = 1 << 16  # bytes; a header holds a shape and a dtype
_ID = re.compile(r"(?:^|_)(\d+)$")
_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpyFolder:
    """The ``.npy`` files directly in a folder, in the order in which they were saved.

    Args:
        path: the folder.
        parameter: what the caller's parameter is called, for the message of an error.
        bare: name the tensors without ``.npy``, as ``ts.open_checkpoint`` does.

    Attributes:
        names: the names of the files: by their trailing number, then those without one in natural order.

    Raises:
        ArgumentTypeError: `path` is not a path.
        ArgumentError: there is no such folder.
    """

    def __init__(self, path: object, parameter: str = "path", *, bare: bool = False) -> None:
        if not isinstance(path, str | os.PathLike):
            raise ArgumentTypeError(f"{parameter} must be the path of a folder, not {type(path).__name__}")
        self.path = Path(path)
        if not self.path.is_dir():
            raise ArgumentError(f"{parameter}: there is no folder {str(path)!r}")
        found = (entry.name for entry in os.scandir(self.path) if entry.name.endswith(".npy") and entry.is_file())
        self.bare = bare
        self.names = sorted((name.removesuffix(".npy") if bare else name for name in found), key=saved_order)

    def file(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self.path / (f"{name}.npy" if self.bare else name)

    def read(self, name: str) -> Array:
        """The array in a file, read-only. Raises CheckpointError when the file is no array of numbers or strings."""
        return read_npy(self.file(name))

    def runs(self, name: str) -> list[Array]:
        """The array, alone in a list; see ``LazyTensors.runs``."""
        return [self.read(name)]

    def info(self, name: str) -> TensorInfo:
        """Shape and dtype from the header of a file. Raises CheckpointError when the file is not an array."""
        path = self.file(name)
        with _open(path) as file:
            shape, _, dtype = _header(file, path)
        return TensorInfo(name, shape, dtype, math.prod(shape) * dtype.itemsize)

    def nbytes(self, name: str) -> int:
        """The size of a file, from the file system alone; 0 when it is not there."""
        try:
            return self.file(name).stat().st_size
        except OSError:
            return 0


def check_names(pairs: object) -> list[NamePair]:
    """A caller's list of pairs of file names, with ``.npy`` added where it was omitted.

    Raises:
        ArgumentTypeError: it is no list of pairs of names.
    """
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise ArgumentTypeError(f"name_map_list must be a list of pairs of file names, not {type(pairs).__name__}")
    checked: list[NamePair] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(n, str | None) for n in pair):
            raise ArgumentTypeError(f"name_map_list must hold pairs of file names or None, not {pair!r}")
        ours, theirs = (name if name is None or name.endswith(".npy") else f"{name}.npy" for name in pair)
        checked.append((ours, theirs))
    return checked


def saved_order(name: str) -> tuple[bool, int, list[tuple[bool, int, str]]]:
    """The key that sorts names by the number they end with, then names without one; ties in natural order."""
    number = _ID.search(name.removesuffix(".npy"))
    return number is None, int(number[1]) if number else 0, natural_order(name)


def natural_order(name: str) -> list[tuple[bool, int, str]]:
    """The key that sorts ``x2`` before ``x10``."""
    parts = re.split(r"(\d+)", name)
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]


def read_npy(path: Path) -> Array:
    """The array in a ``.npy`` file: a view of the mapped file when it is large.

    Raises:
        CheckpointError: the file is missing, damaged, or not a ``.npy`` file.
        UnsafeCheckpointError: it holds pickled objects, which are not read.
    """
    with _open(path) as file:
        shape, fortran, dtype = _header(file, path)
        start, count = file.tell(), math.prod(shape)
        if os.fstat(file.fileno()).st_size < start + count * dtype.itemsize:
            raise CheckpointError(f"{path}: the file ends before the array {shape} of {dtype} does: it is incomplete")
        if count * dtype.itemsize >= _MAPPED:
            flat = MappedFile(path).array(start, (count,), dtype)
        else:
            flat = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return flat.reshape(shape, order="F" if fortran else "C")


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as problem:
        raise CheckpointError(f"{path}: {problem.strerror}") from problem


@functools.lru_cache(maxsize=1024)
def _parsed(version: tuple[int, int], head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What a header says. Most files of a folder share theirs, and to parse one takes as long as to open the file."""
    result: tuple[tuple[int, ...], bool, np.dtype[Any]] = _HEADERS[version](io.BytesIO(head))
    return result


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, dtype. The format: ``numpy.lib.format``."""
    try:
        version: tuple[int, int] = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
        length = file.read(2 if version == (1, 0) else 4)
        head = file.read(min(int.from_bytes(length, "little"), _MAX_HEADER))
        shape, fortran, dtype = _parsed(version, length + head)
    except Exception as problem:  # a damaged header fails in many ways, down to the tokenizer of Python
        raise CheckpointError(f"{path}: not an array in a .npy file") from problem
    if dtype.hasobject:
        raise UnsafeCheckpointError(f"{path}: holds pickled Python objects, which are not read")
    return shape, fortran, dtype
