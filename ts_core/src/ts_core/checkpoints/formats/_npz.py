"""NumPy's archives of arrays, `.npz`. A stored array is a view of the mapped file."""

from __future__ import annotations

import functools
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.checkpoints._arrays import MAX_HEADER, SUFFIX, Header, read_header
from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.dtypes import is_native
from ts_core.contract.files import reading
from ts_core.contract.formats import Format
from ts_core.contract.nouns import CheckpointIndex, OpenOptions, TensorInfo
from ts_core.contract.plan import refuse_tensors, require_names
from ts_core.contract.zips import MAX_NAME, ZipEntry, ZipWriter, is_zip, read_directory
from ts_core.errors import CheckpointError

Array = np.ndarray[Any, np.dtype[Any]]

_npy: Any = np.lib.format  # its functions are not typed
_PART, _PACKED = 1 << 20, 1 << 16  # bytes that come out of the unpacker, and go into it, at once
_MAX_INFLATION = 1032  # what deflate can make of a byte, at most


def _sniff(source: ByteSource) -> bool:
    """An archive of nothing but arrays. Of a damaged one, whosever it is, the error says what is wrong."""
    return is_zip(source) and all(entry.name.endswith(SUFFIX) for entry in read_directory(source))


class NpzReader:
    """An `.npz` archive. Stored arrays are views of the mapped file, compressed ones are unpacked when asked for."""

    format = "npz"

    def __init__(self, source: ByteSource, options: OpenOptions) -> None:
        path = source.path
        self._file = source
        self._entries: dict[str, tuple[ZipEntry, Header]] = {}
        infos = {}
        for entry in read_directory(self._file):
            name = entry.name.removesuffix(SUFFIX)
            label = f"{path}: {entry.name}"
            if options.verify and self._crc32(entry) != entry.crc:
                raise CheckpointError(f"{label}: the checksum is wrong")
            header = read_header(self._head(entry), label)
            header.require_numbers(label)
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
            return self._file.read(entry.offset, entry.offset + min(entry.size, MAX_HEADER))
        with reading(self._file.path):
            return next(_inflate(self._packed(entry), min(entry.size, MAX_HEADER)), b"")

    def _crc32(self, entry: ZipEntry) -> int:
        if not entry.deflated:
            return self._file.crc32(entry.offset, entry.offset + entry.size)
        with reading(self._file.path):
            return functools.reduce(lambda checksum, part: zlib.crc32(part, checksum), self._inflated(entry), 0)

    def _packed(self, entry: ZipEntry) -> memoryview:
        return self._file.read(entry.offset, entry.offset + entry.packed_size)

    def _unpacked(self, entry: ZipEntry) -> bytes | memoryview:
        if not entry.deflated:
            return self._packed(entry)
        data = memoryview(bytearray(entry.size if entry.size <= entry.packed_size * _MAX_INFLATION else 0))
        position = 0
        with reading(self._file.path):
            for part in self._inflated(entry):
                data[position : position + len(part)] = part
                position += len(part)
        return data

    def _inflated(self, entry: ZipEntry) -> Iterator[bytes]:
        """The content of a deflated entry, in parts: exactly as many bytes as the directory says."""
        if entry.size > entry.packed_size * _MAX_INFLATION:
            raise self._file.error(f"{entry.name}: {entry.packed_size} bytes cannot unpack to {entry.size}")
        size = 0
        for part in _inflate(self._packed(entry), _PART):
            size += len(part)
            if size > entry.size:
                break
            yield part
        if size != entry.size:
            state = "more" if size > entry.size else f"{size} bytes"
            raise self._file.error(f"{entry.name}: unpacks to {state} and not to {entry.size}")

    def read(self, name: str) -> Array:
        """A view of the mapped file, or of what was unpacked."""
        entry, header = self._entries[name]
        self._file.require_unchanged()
        array = header.array(self._unpacked(entry))
        array.flags.writeable = False
        return array

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _inflate(data: memoryview, size: int) -> Iterator[bytes]:
    """What compressed data unpacks to, in parts of at most so many bytes."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for start in range(0, len(data), _PACKED):
            packed: Any = data[start : start + _PACKED]
            while size and (part := unpacker.decompress(packed, size)):
                yield part
                packed = unpacker.unconsumed_tail
    except zlib.error as problem:
        raise ValueError(f"the compressed data: {problem}") from problem


def _unfit(name: str, index: CheckpointIndex) -> str | None:
    """What keeps a zip archive from an entry of this name, or NumPy from finding it again."""
    if "\0" in name:
        return "an entry of a zip archive ends at a null character"
    if len(name.encode()) + len(SUFFIX) > MAX_NAME:
        return f"an entry of a zip archive has a name of at most {MAX_NAME} bytes"
    if name + SUFFIX in index:
        return f"NumPy could not tell it from {name + SUFFIX!r:.200}"
    return None


class NpzWriter:
    """Writes an uncompressed `.npz` archive that ``numpy.load`` reads."""

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        # NumPy writes bfloat16 and its like as bare bytes, and reads them back as such.
        refuse_tensors("npz", (info for info in index.values() if not is_native(info.dtype)))
        require_names("npz", index, functools.partial(_unfit, index=index))
        self.dropped = tuple(index.metadata)  # an archive of arrays has no place for metadata
        self._zip = ZipWriter(path)

    def write(self, name: str, array: Array) -> None:
        """Append one array as an entry of its own."""
        little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
        head = io.BytesIO()
        _npy.write_array_header_1_0(
            head, {"descr": _npy.dtype_to_descr(little), "fortran_order": False, "shape": array.shape}
        )
        self._zip.add(name + SUFFIX, head.getvalue(), array)

    def finish(self) -> None:
        """Write the directory of the archive."""
        self._zip.finish()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


FORMAT = Format("npz", (".npz",), _sniff, NpzReader, NpzWriter)
