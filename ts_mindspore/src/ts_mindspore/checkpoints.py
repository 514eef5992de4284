"""MindSpore's `.ckpt` files, read and written without MindSpore.

The file is a stream of protobuf messages (MindSpore's ``train/checkpoint.proto``). Their wire format is so small that
it is read here by hand, over the mapped file: only tags, shapes and dtypes are looked at, and a tensor is a view of its
bytes. MindSpore itself reads the whole file into memory and parses it there.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.dtypes import DtypeTable
from ts_core.contract.files import MappedFile, OutputFile, count_elements, raw_bytes, reading
from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import CheckpointIndex, OpenOptions, TensorInfo
from ts_core.contract.plan import require_dtypes
from ts_core.contract.readers import CheckpointReader, CheckpointWriter
from ts_core.errors import CheckpointError, UnsupportedDtypeError

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT = "mindspore"
SUFFIX = ".ckpt"

# TensorProto.tensor_type → dtype: those that MindSpore 2.10 reads back.
DTYPES = DtypeTable(
    {
        "Bool": "bool",
        "Int8": "int8",
        "Int16": "int16",
        "Int32": "int32",
        "Int64": "int64",
        "UInt8": "uint8",
        "UInt16": "uint16",
        "UInt32": "uint32",
        "UInt64": "uint64",
        "Float16": "float16",
        "Float32": "float32",
        "Float64": "float64",
        "BFloat16": "bfloat16",
        "Int4": "qint4x2",
    }
)
# MindSpore writes these too, and fails when it loads them.
_READ_ONLY_DTYPES = DtypeTable({"Complex64": "complex64", "Complex128": "complex128"})
_STRING = "str"
_SLICE = 512 << 20  # bytes; a larger tensor is written in slices, as MindSpore does
_ENCRYPTED = b"\x5e\x3a\x7f"  # bytes 1 to 3 of an encrypted file; byte 0 tells the cipher
_CRC_MARK = b"crc_num"
_CRC_TRAILER = len(_CRC_MARK) + 10  # bytes
_CHUNK = 16 << 20  # bytes, for checksums

# Field numbers of the messages Checkpoint, Value and TensorProto.
_VALUE = 1
_TAG, _TENSOR, _MAP_TENSOR = 1, 2, 3
_DIMS, _TYPE, _CONTENT = 1, 2, 3
# Wire types of protobuf.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@hookimpl
def open_checkpoint(path: Path, options: OpenOptions) -> CheckpointReader | None:
    """A reader, if the file begins as a ``Checkpoint`` message does or is an encrypted one."""
    file = MappedFile(path)
    if file.data[1:4] == _ENCRYPTED:
        raise file.error(
            "it is encrypted: load it with mindspore.load_checkpoint(…, dec_key=…) and save it again without a key"
        )
    if not _looks_like_checkpoint(file, path.suffix == SUFFIX):
        return None
    return MindSporeReader(file, options.verify)


def _looks_like_checkpoint(file: MappedFile, named_so: bool) -> bool:
    """Whether the first message is a ``Value`` with a tag or a tensor; a file that is named so may also be damaged."""
    try:
        number, wire, start, end = next(_fields(file.data, 0, len(file)))
        inner = next(_fields(file.data, start, end)) if wire == _BYTES else (0, 0, 0, 0)
    except (ValueError, StopIteration):
        return named_so and file.data[0] == _VALUE << 3 | _BYTES
    return number == _VALUE and inner[0] in (_TAG, _TENSOR, _MAP_TENSOR) and inner[1] == _BYTES


def _fields(data: memoryview, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, and the range of the content (of a varint: its value, twice)."""
    while position < end:
        key, position = _varint(data, position, end)
        wire = key & 7
        if wire == _VARINT:
            value, position = _varint(data, position, end)
            yield key >> 3, wire, value, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position, end)
        elif wire == _FIXED64:
            length = 8
        elif wire == _FIXED32:
            length = 4
        else:
            raise ValueError(f"byte {position}: wire type {wire} does not occur in a checkpoint")
        if position + length > end:
            raise ValueError(f"byte {position}: a field of {length} bytes reaches past the end; the file is cut off")
        yield key >> 3, wire, position, position + length
        position += length


def _varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the position behind it."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            break
    raise ValueError(f"byte {position}: a number is cut off or longer than 64 bits")


@dataclass(slots=True)
class _Tensor:
    """A tensor on the way from its messages: one, or several that hold slices of it."""

    dims: tuple[int, ...]
    type: str
    parts: list[tuple[int, int]] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        return sum(end - start for start, end in self.parts)


class MindSporeReader:
    """A `.ckpt` file; a tensor is a view of the mapped file, or is joined when it was written in slices."""

    format = FORMAT

    def __init__(self, file: MappedFile, verify: bool = False) -> None:
        self._file = file
        with reading(file.path):
            end = _content_end(file, verify)
            tensors, metadata = _parse(file, end)
            infos = {name: _info(file, name, tensor) for name, tensor in tensors.items()}
        self._parts = {name: tensor.parts for name, tensor in tensors.items()}
        self.index = CheckpointIndex(infos, metadata)

    def read(self, name: str) -> Array:
        """A view of the mapped file; of slices, a copy that joins them."""
        info, parts = self.index[name], self._parts[name]
        if len(parts) == 1:
            return self._file.array(parts[0][0], info.shape, info.dtype)
        joined = np.empty(info.nbytes, np.uint8)
        position = 0
        for start, end in parts:
            joined[position : position + end - start] = self._file.data[start:end]
            position += end - start
        joined.flags.writeable = False
        return joined.view(info.dtype).reshape(info.shape)

    def runs(self, name: str) -> list[Array]:
        """The slices of a tensor that was written in several, as views."""
        dtype, parts = self.index[name].dtype, self._parts[name]
        if len(parts) == 1 or any((end - start) % dtype.itemsize for start, end in parts):
            return [self.read(name)]
        return [self._file.array(start, ((end - start) // dtype.itemsize,), dtype) for start, end in parts]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _content_end(file: MappedFile, verify: bool) -> int:
    """Where the messages end: before the checksum, if there is one."""
    end = len(file) - _CRC_TRAILER
    if end < 0 or file.data[end : end + len(_CRC_MARK)] != _CRC_MARK:
        return len(file)
    if verify:
        stated = int.from_bytes(file.data[end + len(_CRC_MARK) :], "big")
        checksum = 0
        for start in range(0, end, _CHUNK):
            checksum = zlib.crc32(file.data[start : min(start + _CHUNK, end)], checksum)
        if checksum != stated:
            raise file.error(f"the checksum of the content is {checksum:#010x}, the file says {stated:#010x}")
    return end


def _parse(file: MappedFile, end: int) -> tuple[dict[str, _Tensor], dict[str, object]]:
    data = file.data
    tensors: dict[str, _Tensor] = {}
    metadata: dict[str, object] = {}
    last = None
    for number, wire, start, stop in _fields(data, 0, end):
        if number != _VALUE or wire != _BYTES:
            continue
        tag, tensor = _parse_value(data, start, stop)
        if tensor.type == _STRING:
            if tag in metadata or tag in tensors:
                raise file.error(f"{tag!r} is there twice")
            metadata[tag] = str(data[slice(*tensor.parts[0])], "utf-32-le")
        elif tag not in tensors:
            if tag in metadata:
                raise file.error(f"{tag!r} is there twice")
            tensors[tag] = tensor
        else:
            known = tensors[tag]
            if tag != last or (known.dims, known.type) != (tensor.dims, tensor.type):
                raise file.error(f"{tag!r} is there twice, and not as slices of one tensor")
            known.parts += tensor.parts
        last = tag
    return tensors, metadata


def _parse_value(data: memoryview, start: int, stop: int) -> tuple[str, _Tensor]:
    tag = None
    tensor = None
    for number, wire, begin, end in _fields(data, start, stop):
        if wire != _BYTES:
            continue
        if number == _TAG:
            tag = str(data[begin:end], "utf-8")
        elif number == _TENSOR:
            tensor = _parse_tensor(data, begin, end)
        elif number == _MAP_TENSOR:
            raise ValueError(
                f"{tag!r} is a map tensor (a hash table), which has no dense array: "
                "export it in MindSpore with MapParameter.get_data() and save what that returns"
            )
    if tag is None or tensor is None:
        raise ValueError(f"byte {start}: an entry without a {'name' if tag is None else 'tensor'}")
    return tag, tensor


def _parse_tensor(data: memoryview, start: int, stop: int) -> _Tensor:
    dims: list[int] = []
    type_name = None
    content = None
    for number, wire, begin, end in _fields(data, start, stop):
        if number == _DIMS and wire == _VARINT:
            dims.append(begin)
        elif number == _DIMS and wire == _BYTES:  # the packed form of the same
            while begin < end:
                size, begin = _varint(data, begin, end)
                dims.append(size)
        elif number == _TYPE and wire == _BYTES:
            type_name = str(data[begin:end], "utf-8")
        elif number == _CONTENT and wire == _BYTES:
            content = (begin, end)
    if type_name is None or content is None:
        raise ValueError(f"byte {start}: a tensor without a {'type' if type_name is None else 'content'}")
    return _Tensor(tuple(dims), type_name, [content])


def _info(file: MappedFile, name: str, tensor: _Tensor) -> TensorInfo:
    dtype = DTYPES.dtype(tensor.type) or _READ_ONLY_DTYPES.dtype(tensor.type)
    if dtype is None:
        raise file.error(f"{name}: the dtype {tensor.type!r} cannot be read")
    nbytes = tensor.nbytes
    shape = tensor.dims
    if shape == (0,) and nbytes == dtype.itemsize:
        shape = ()  # how older releases wrote a scalar
    if any(size >= 1 << 63 for size in shape):
        raise file.error(f"{name}: the shape has a negative size")
    if count_elements(shape) * dtype.itemsize != nbytes:
        if len(tensor.parts) > 1:
            raise file.error(f"{name!r} is there twice, and not as slices of one tensor")
        raise file.error(f"{name}: {nbytes} bytes are no {tensor.type} of the shape {shape}")
    return TensorInfo(name, shape, dtype, nbytes)


@hookimpl
def create_checkpoint(path: Path, format: str, index: CheckpointIndex) -> CheckpointWriter | None:
    """A writer for the format ``mindspore``."""
    return MindSporeWriter(path, index) if format == FORMAT else None


class MindSporeWriter:
    """Writes one message a tensor (several, if it is larger than 512 MiB), then strings and numbers."""

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        require_dtypes("a MindSpore checkpoint", index, DTYPES)
        empty = [name for name, info in index.items() if info.shape == (0,)]
        if empty:
            raise UnsupportedDtypeError(
                "a MindSpore checkpoint cannot hold tensors of shape (0,): MindSpore reads them back as scalars; "
                f"nothing was written. Leave out: {', '.join(empty)}"
            )
        self._extra = {
            name: value for name, value in index.metadata.items() if name not in index and _is_appendable(value)
        }
        self.dropped = tuple(name for name in index.metadata if name not in self._extra)
        self._file = OutputFile(path)

    def write(self, name: str, array: Array) -> None:
        """Append one tensor."""
        spelled = DTYPES.spell(array.dtype)
        if spelled is None:
            raise CheckpointError(f"{name}: {array.dtype} was not announced")
        self._append(name, array.shape, spelled, raw_bytes(array))

    def _append(self, name: str, dims: tuple[int, ...], type_name: str, data: bytes | memoryview) -> None:
        described = _described(dims, type_name)
        tag = _message(_TAG, name.encode())
        for start in range(0, max(len(data), 1), _SLICE):
            part = data[start : start + _SLICE]
            # The lengths of the enclosing messages come before their content: from the inside out.
            head = described + _key(_CONTENT, len(part))
            head = tag + _key(_TENSOR, len(head) + len(part)) + head
            self._file.write(_key(_VALUE, len(head) + len(part)) + head)
            self._file.write(part)

    def finish(self) -> None:
        """Append the metadata, as ``append_dict`` of ``mindspore.save_checkpoint`` does."""
        for name, value in self._extra.items():
            if isinstance(value, str):
                self._append(name, (0,), _STRING, value.encode("utf-32-le"))
            else:
                array = _as_scalar(value)
                self._append(name, (), str(DTYPES.spell(array.dtype)), raw_bytes(array))
        self._file.finish()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _is_appendable(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, str | bool | float)


def _as_scalar(value: object) -> Array:
    return np.asarray(value, np.float64 if isinstance(value, float) else None)


@functools.lru_cache(maxsize=1024)  # many tensors have one shape
def _described(dims: tuple[int, ...], type_name: str) -> bytes:
    """The shape and dtype of a tensor."""
    return b"".join(b"\x08" + _encode(size) for size in dims) + _message(_TYPE, type_name.encode())


def _encode(number: int) -> bytes:
    """A number as a varint."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


@functools.lru_cache(maxsize=1024)  # the lengths of names and of small tensors are few
def _key(number: int, length: int) -> bytes:
    """What comes before the content of a field of bytes."""
    return bytes([number << 3 | _BYTES]) + _encode(length)


def _message(number: int, content: bytes) -> bytes:
    return _key(number, len(content)) + content
