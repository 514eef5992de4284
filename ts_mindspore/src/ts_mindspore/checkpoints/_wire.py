"""What reading and writing share: the wire format of protobuf, and how MindSpore's messages spell dtypes.

The format is so small that it is read and written here by hand. Source: MindSpore's ``train/checkpoint.proto``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.dtypes import DtypeTable

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
READ_ONLY_DTYPES = DtypeTable({"Complex64": "complex64", "Complex128": "complex128"})
STRING = "str"
# What may end a file: this, and 10 bytes of a checksum of all that precedes it.
CRC_MARK = b"crc_num"
CRC_TRAILER = len(CRC_MARK) + 10  # bytes

# Field numbers of the messages Checkpoint, Value and TensorProto.
VALUE = 1
TAG, TENSOR, MAP_TENSOR = 1, 2, 3
DIMS, TYPE, CONTENT = 1, 2, 3
# Wire types of protobuf.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_WINDOW = 4096  # bytes: of a message, what is looked at in one go; its content is not
_MOST = 20  # bytes of a field's key and length


def fields(file: ByteSource, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, and the range of the content (of a varint: its value, twice)."""
    start = stop = position
    while position < end:
        if stop < end and position + _MOST > stop:
            start, stop = position, min(position + _WINDOW, end)
            window = file.read(start, stop)
        at = position - start
        key, at = (window[at], at + 1) if window[at] < 0x80 else _varint(window, at, start)
        wire = key & 7
        if wire == VARINT:
            value, at = _varint(window, at, start)
            position = start + at
            yield key >> 3, wire, value, value
            continue
        if wire == BYTES:
            short = at < len(window) and window[at] < 0x80
            length, at = (window[at], at + 1) if short else _varint(window, at, start)
        elif wire == FIXED64:
            length = 8
        elif wire == FIXED32:
            length = 4
        else:
            raise ValueError(f"byte {start + at}: wire type {wire} does not occur in a checkpoint")
        position = start + at
        if position + length > end:
            raise ValueError(f"byte {position}: a field of {length} bytes reaches past the end; the file is cut off")
        yield key >> 3, wire, position, position + length
        position += length


def varints(data: memoryview) -> Iterator[int]:
    """Numbers that follow each other without keys."""
    position = 0
    while position < len(data):
        number, position = _varint(data, position, 0)
        yield number


def _varint(data: memoryview, position: int, start: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the position behind it; `start` is that of the data."""
    value = shift = 0
    for byte in data[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f"byte {start + position}: a number is cut off or longer than 64 bits")


def encoded(number: int) -> bytes:
    """A number as a varint."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


@functools.lru_cache(maxsize=1024)  # the lengths of names and of small tensors are few
def key(number: int, length: int) -> bytes:
    """What comes before the content of a field of bytes."""
    return bytes([number << 3 | BYTES]) + encoded(length)


def message(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return key(number, len(content)) + content
