"""NumPy's own files: a folder of `.npy` files, or one alone. A tensor is a view of the mapped file."""

from __future__ import annotations

import io
import os
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import MappedFile
from ts_core.contract.dtypes import is_native
from ts_core.contract.files import count_elements, reading
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.errors import CheckpointError, UnsafeCheckpointError

Array = np.ndarray[Any, np.dtype[Any]]

_npy: Any = np.lib.format  # its functions are not typed

MAGIC = b"\x93NUMPY"  # with which an `.npy` file begins
_SUFFIX = ".npy"
_MAPPED = 1 << 20  # bytes of data from which a file is mapped into memory instead of read
_MAX_HEADER = 1 << 16  # bytes; a header holds a shape and a dtype
_HEADERS = {
    (1, 0): _npy.read_array_header_1_0,
    (2, 0): _npy.read_array_header_2_0,
}


class _Header:
    """The shape, dtype and order of an `.npy` file, and where its elements start."""

    def __init__(self, head: bytes, label: str) -> None:
        stream = io.BytesIO(head)
        with reading(Path(label)):
            version = _npy.read_magic(stream)
            read = _HEADERS.get(version)
            if read is None:
                raise CheckpointError(f"{label}: version {version} of the .npy format cannot be read")
            try:
                self.shape, self.fortran_order, self.dtype = read(stream)
            except tokenize.TokenError as problem:
                raise CheckpointError(f"{label}: the header is damaged: {problem}") from problem
        if self.dtype.hasobject:
            raise UnsafeCheckpointError(f"{label}: an array of Python objects is a pickle, which is not read")
        if not is_native(self.dtype):
            raise CheckpointError(f"{label}: an array of dtype {self.dtype} holds no numbers")
        self.offset = stream.tell()
        with reading(Path(label)):
            self.nbytes = count_elements(self.shape) * self.dtype.itemsize

    def array(self, data: memoryview) -> Array:
        flat = np.frombuffer(data, np.uint8, self.nbytes, self.offset) if self.nbytes else np.empty(0, np.uint8)
        array: Array = flat.view(self.dtype).reshape(self.shape, order="F" if self.fortran_order else "C")
        return array


class NpyReader:
    """`.npy` files, each of which holds one tensor.

    A file is opened when its tensor is read: a folder may hold more files than a process may have open.

    Args:
        files: name of the tensor → file; see :func:`npy_folder` and :func:`npy_file`.
    """

    format = "npy"

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files: dict[str, tuple[Path, _Header]] = {}
        infos = {}
        for name, file in files.items():
            header, size = _read_header(file)
            if header.offset + header.nbytes != size:
                raise CheckpointError(f"{file}: {header.shape} of {header.dtype} does not fill a file of {size} bytes")
            self._files[name] = file, header
            infos[name] = TensorInfo(name, header.shape, header.dtype, header.nbytes)
        self.index = CheckpointIndex(infos)

    def read(self, name: str) -> Array:
        """The array in a file: a view of the mapped file when it is large."""
        file, header = self._files[name]
        with reading(file):  # it may have changed since its header was read
            data = _mapped(file) if header.nbytes >= _MAPPED else memoryview(file.read_bytes())
            return header.array(data)

    def close(self) -> None:
        """No file is held open."""


def _read_header(path: Path) -> tuple[_Header, int]:
    """The header of an `.npy` file, and the size of the file."""
    try:
        with path.open("rb", buffering=0) as file:
            return _Header(file.read(_MAX_HEADER), str(path)), os.fstat(file.fileno()).st_size
    except OSError as problem:
        raise CheckpointError(f"{path}: cannot be opened: {problem.strerror}") from problem


def _mapped(path: Path) -> memoryview:
    file = MappedFile(path)
    return file.read(0, len(file))


def npy_folder(folder: Path) -> dict[str, Path]:
    """The `.npy` files of a folder, each a tensor that is named like its file; in order of name."""
    return {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.iterdir()) if path.suffix == _SUFFIX}


def npy_file(path: Path) -> dict[str, Path]:
    """A `.npy` file by itself. Its tensor has the same name in every such file, so that any two can be compared."""
    return {"array": path}
