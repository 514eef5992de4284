"""Reading MindSpore's `.ckpt` files without MindSpore.

The file is a stream of protobuf messages. Only tags, shapes and dtypes are looked at, and a tensor is a view of its
bytes. MindSpore itself reads the whole file into memory and parses it there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource, copy_bytes
from ts_core.contract.files import count_elements, reading
from ts_core.contract.nouns import CheckpointIndex, OpenOptions, TensorInfo
from ts_mindspore.checkpoints._wire import (
    BYTES,
    CONTENT,
    CRC_MARK,
    CRC_TRAILER,
    DIMS,
    DTYPES,
    MAP_TENSOR,
    READ_ONLY_DTYPES,
    STRING,
    TAG,
    TENSOR,
    TYPE,
    VALUE,
    VARINT,
    fields,
    varints,
)

Array = np.ndarray[Any, np.dtype[Any]]

SUFFIX = ".ckpt"
_MOST_DIMS = 64  # more than arrays have: a few bytes of the file must not ask for more memory
_ENCRYPTED = b"\x5e\x3a\x7f"  # bytes 1 to 3 of an encrypted file; byte 0 tells the cipher


def sniff(file: ByteSource) -> bool:
    """Whether the first message is a ``Value`` with a tag or a tensor, or the file is encrypted.

    A file that is called so may also be damaged.
    """
    if file.read(1, 4) == _ENCRYPTED:
        return True
    try:
        number, wire, start, end = next(fields(file, 0, len(file)))
        inner = next(fields(file, start, end)) if wire == BYTES else (0, 0, 0, 0)
    except (ValueError, StopIteration):
        return file.path.suffix == SUFFIX and file.read(0, 1) == bytes([VALUE << 3 | BYTES])
    return number == VALUE and inner[0] in (TAG, TENSOR, MAP_TENSOR) and inner[1] == BYTES


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

    format = "mindspore"

    def __init__(self, file: ByteSource, options: OpenOptions) -> None:
        self._file = file
        if file.read(1, 4) == _ENCRYPTED:
            raise file.error(
                "it is encrypted: load it with mindspore.load_checkpoint(…, dec_key=…) and save it again without a key"
            )
        with reading(file.path):
            end = _content_end(file, options.verify)
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
            copy_bytes(self._file.array(start, (end - start,), joined.dtype), joined[position : position + end - start])
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


def _content_end(file: ByteSource, verify: bool) -> int:
    """Where the messages end: before the checksum, if there is one."""
    end = len(file) - CRC_TRAILER
    if end < 0 or file.read(end, end + len(CRC_MARK)) != CRC_MARK:
        return len(file)
    if verify:
        stated = int.from_bytes(file.read(end + len(CRC_MARK), len(file)), "big")
        checksum = file.crc32(0, end)
        if checksum != stated:
            raise file.error(f"the checksum of the content is {checksum:#010x}, the file says {stated:#010x}")
    return end


def _parse(file: ByteSource, end: int) -> tuple[dict[str, _Tensor], dict[str, object]]:
    tensors: dict[str, _Tensor] = {}
    metadata: dict[str, object] = {}
    last = None
    for number, wire, start, stop in fields(file, 0, end):
        if number != VALUE or wire != BYTES:
            continue
        tag, tensor = _parse_value(file, start, stop)
        if tensor.type == STRING:
            if tag in metadata or tag in tensors:
                raise file.error(f"{tag!r} is there twice")
            # NumPy's strings, which these are, end at their last character that is not null.
            metadata[tag] = str(file.read(*tensor.parts[0]), "utf-32-le").rstrip("\0")
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


def _parse_value(file: ByteSource, start: int, stop: int) -> tuple[str, _Tensor]:
    tag = None
    tensor = None
    for number, wire, begin, end in fields(file, start, stop):
        if wire != BYTES:
            continue
        if number == TAG:
            tag = str(file.read(begin, end), "utf-8")
        elif number == TENSOR:
            tensor = _parse_tensor(file, begin, end)
        elif number == MAP_TENSOR:
            raise ValueError(
                f"{tag!r} is a map tensor (a hash table), which has no dense array: "
                "export it in MindSpore with MapParameter.get_data() and save what that returns"
            )
    if tag is None or tensor is None:
        raise ValueError(f"byte {start}: an entry without a {'name' if tag is None else 'tensor'}")
    return tag, tensor


def _parse_tensor(file: ByteSource, start: int, stop: int) -> _Tensor:
    dims: list[int] = []
    type_name = None
    content = None
    for number, wire, begin, end in fields(file, start, stop):
        if number == DIMS and wire == VARINT:
            dims.append(begin)
        elif number == DIMS and wire == BYTES:  # the packed form of the same
            dims += islice(varints(file.read(begin, end)), _MOST_DIMS)
        elif number == TYPE and wire == BYTES:
            type_name = str(file.read(begin, end), "utf-8")
        elif number == CONTENT and wire == BYTES:
            content = (begin, end)
        if len(dims) >= _MOST_DIMS:
            raise ValueError(f"byte {start}: a tensor of {_MOST_DIMS} dimensions or more")
    if type_name is None or content is None:
        raise ValueError(f"byte {start}: a tensor without a {'type' if type_name is None else 'content'}")
    return _Tensor(tuple(dims), type_name, [content])


def _info(file: ByteSource, name: str, tensor: _Tensor) -> TensorInfo:
    dtype = DTYPES.dtype(tensor.type) or READ_ONLY_DTYPES.dtype(tensor.type)
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
