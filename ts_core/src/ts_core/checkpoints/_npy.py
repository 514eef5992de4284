"""NumPy's own files: an `.npz` archive, and a folder of `.npy` files. A tensor is a view of the mapped file."""

from __future__ import annotations

import io
import os
import tokenize
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.dtypes import is_native
from ts_core.contract.files import MappedFile, count_elements, raw_bytes, reading
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.plan import refuse_tensors
from ts_core.contract.zips import ZipEntry, ZipWriter, read_directory
from ts_core.errors import CheckpointError, UnsafeCheckpointError

Array = np.ndarray[Any, np.dtype[Any]]

_npy: Any = np.lib.format  # its functions are not typed

MAGIC = b"\x93NUMPY"  # with which an `.npy` file begins
_SUFFIX = ".npy"
_MAPPED = 1 << 20  # bytes of data from which a file is mapped into memory instead of read
_MAX_HEADER = 1 << 16  # bytes; a header holds a shape and a dtype
_MAX_INFLATION = 1032  # what deflate can make of a byte, at most
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


class NpzReader:
    """An `.npz` archive. Stored arrays are views of the mapped file, compressed ones are unpacked when asked for."""

    format = "npz"

    def __init__(self, path: Path, verify: bool = False) -> None:
        self._file = MappedFile(path)
        self._entries: dict[str, tuple[ZipEntry, _Header]] = {}
        infos = {}
        for entry in read_directory(self._file):
            name = entry.name.removesuffix(_SUFFIX)
            label = f"{path}: {entry.name}"
            if verify and zlib.crc32(self._unpacked(entry)) != entry.crc:
                raise CheckpointError(f"{label}: the checksum is wrong")
            header = _Header(bytes(self._head(entry)), label)
            if header.offset + header.nbytes != entry.size:
                raise CheckpointError(
                    f"{label}: {header.shape} of {header.dtype} does not fill an entry of {entry.size} bytes"
                )
            if name in infos:
                raise self._file.error(f"{name!r} is there twice")
            self._entries[name] = entry, header
            infos[name] = TensorInfo(name, header.shape, header.dtype, header.nbytes)
        self.index = CheckpointIndex(infos)

    def _head(self, entry: ZipEntry) -> bytes | memoryview:
        if not entry.deflated:
            return self._file.data[entry.offset : entry.offset + min(entry.size, _MAX_HEADER)]
        with reading(self._file.path):
            return _inflate(self._packed(entry), min(entry.size, _MAX_HEADER))

    def _packed(self, entry: ZipEntry) -> memoryview:
        return self._file.data[entry.offset : entry.offset + entry.packed_size]

    def _unpacked(self, entry: ZipEntry) -> bytes | memoryview:
        if not entry.deflated:
            return self._packed(entry)
        if entry.size > entry.packed_size * _MAX_INFLATION:
            raise self._file.error(f"{entry.name}: {entry.packed_size} bytes cannot unpack to {entry.size}")
        with reading(self._file.path):
            data = _inflate(self._packed(entry), entry.size)
        if len(data) != entry.size:
            raise self._file.error(f"{entry.name}: unpacks to {len(data)} bytes and not to {entry.size}")
        return data

    def read(self, name: str) -> Array:
        """A view of the mapped file, or of what was unpacked."""
        entry, header = self._entries[name]
        array = header.array(memoryview(self._unpacked(entry)))
        array.flags.writeable = False
        return array

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _inflate(data: memoryview, size: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size) if size else b""
    except zlib.error as problem:
        raise ValueError(f"the compressed data: {problem}") from problem


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
            data = MappedFile(file).data if header.nbytes >= _MAPPED else memoryview(file.read_bytes())
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


def npy_folder(folder: Path) -> dict[str, Path]:
    """The `.npy` files of a folder, each a tensor that is named like its file; in order of name."""
    return {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.iterdir()) if path.suffix == _SUFFIX}


def npy_file(path: Path) -> dict[str, Path]:
    """A `.npy` file by itself. Its tensor has the same name in every such file, so that any two can be compared."""
    return {"array": path}


class NpzWriter:
    """Writes an uncompressed `.npz` archive that ``numpy.load`` reads."""

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        # NumPy writes bfloat16 and its like as bare bytes, and reads them back as such.
        refuse_tensors("npz", (info for info in index.values() if not is_native(info.dtype)))
        self.dropped = tuple(index.metadata)  # an archive of arrays has no place for metadata
        self._zip = ZipWriter(path)

    def write(self, name: str, array: Array) -> None:
        """Append one array as an entry of its own."""
        little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
        head = io.BytesIO()
        _npy.write_array_header_1_0(
            head, {"descr": _npy.dtype_to_descr(little), "fortran_order": False, "shape": array.shape}
        )
        self._zip.add(name + _SUFFIX, head.getvalue(), raw_bytes(array))

    def finish(self) -> None:
        """Write the directory of the archive."""
        self._zip.finish()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
