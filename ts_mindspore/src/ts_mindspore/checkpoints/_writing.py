"""Writing MindSpore's `.ckpt` files."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.errors import CheckpointError, UnsupportedDtypeError
from ts_core.contract.files import OutputFile, raw_blocks
from ts_core.contract.nouns import CheckpointIndex, OfTheFile
from ts_core.contract.plan import is_text, require_dtypes, require_names, require_tensors
from ts_mindspore.checkpoints._wire import (
    CONTENT,
    CRC_MARK,
    CRC_TRAILER,
    DTYPES,
    STRING,
    TAG,
    TENSOR,
    TYPE,
    VALUE,
    encoded,
    key,
    message,
)

Array = np.ndarray[Any, np.dtype[Any]]

_TOO_LARGE = 1 << 31  # for a size in a shape
_LONGEST = 1024  # characters of a name, or MindSpore makes no parameter of it
_SLICE = 512 << 20  # bytes; a larger tensor is written in slices, as MindSpore does


class MindSporeWriter:
    """Writes one message a tensor (several, if it is larger than 512 MiB), then strings and numbers."""

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        require_dtypes("a MindSpore checkpoint", index, DTYPES)
        require_names("a MindSpore checkpoint", index, _unfit)
        require_tensors("a MindSpore checkpoint", index)
        empty = [name for name, info in index.items() if info.shape == (0,)]
        if empty:
            raise UnsupportedDtypeError(
                "a MindSpore checkpoint cannot hold tensors of shape (0,): MindSpore reads them back as scalars; "
                f"nothing was written. Leave out: {', '.join(empty)}"
            )
        large = [name for name, info in index.items() if max(info.shape, default=0) >= _TOO_LARGE]
        if large:
            raise UnsupportedDtypeError(
                "a MindSpore checkpoint cannot hold shapes with a size of 2^31 or more: MindSpore does not read them "
                f"back; nothing was written. Reshape or leave out: {', '.join(large)}"
            )
        self._extra = {
            name: value
            for name, value in index.metadata.items()
            if is_text(name) and name not in index and _is_appendable(value)
        }
        self.dropped = tuple(name for name in index.metadata if name not in self._extra)
        self._path = path
        self._file = OutputFile(path)

    def write(self, name: str, array: Array) -> None:
        """Append one tensor."""
        spelled = DTYPES.spell(array.dtype)
        if spelled is None:
            raise CheckpointError(f"{name}: {array.dtype} was not announced")
        self._append(name, array.shape, spelled, array.nbytes, raw_blocks(array))

    def _append(
        self, name: str, dims: tuple[int, ...], type_name: str, nbytes: int, blocks: Iterable[bytes | memoryview]
    ) -> None:
        described = _described(dims, type_name)
        tag = message(TAG, name.encode())
        # The lengths of the enclosing messages come before their content: from the inside out.
        heads = []
        for start in range(0, max(nbytes, 1), _SLICE):
            size = min(_SLICE, nbytes - start)
            head = described + key(CONTENT, size)
            head = tag + key(TENSOR, len(head) + size) + head
            heads.append((key(VALUE, len(head) + size) + head, size))
        left = 0
        for block in blocks:
            rest = memoryview(block)
            while rest:
                if not left:
                    head, left = heads.pop(0)
                    self._file.write(head)
                part, rest = rest[:left], rest[left:]
                self._file.write(part)
                left -= len(part)
        for head, _ in heads:  # of a tensor without elements
            self._file.write(head)

    def finish(self) -> None:
        """Append the metadata, as ``append_dict`` of ``mindspore.save_checkpoint`` does."""
        for name, value in self._extra.items():
            if isinstance(value, str):
                content = (value or "\0").encode("utf-32-le")  # NumPy has no strings of no length
                self._append(name, (0,), STRING, len(content), [content])
            else:
                array = _as_scalar(value)
                self.write(name, array)
        self._file.finish()
        if self._seems_checked():
            self._file.write(CRC_MARK + self._checksum().to_bytes(CRC_TRAILER - len(CRC_MARK), "big"))
            self._file.finish()

    def _seems_checked(self) -> bool:
        """Whether the last elements happen to look like a checksum, for which every reader would take them."""
        with self._path.open("rb") as written:
            written.seek(max(self._file.position - CRC_TRAILER, 0))
            return written.read(len(CRC_MARK)) == CRC_MARK

    def _checksum(self) -> int:
        checksum = 0
        with self._path.open("rb") as written:
            while block := written.read(_SLICE >> 5):
                checksum = zlib.crc32(block, checksum)
        return checksum

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _unfit(name: str) -> str | None:
    return f"MindSpore takes names of at most {_LONGEST} characters" if len(name) > _LONGEST else None


def _is_appendable(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, str):
        return is_text(value) and not value.endswith("\0") and not isinstance(value, OfTheFile)
    return isinstance(value, bool | float)


def _as_scalar(value: object) -> Array:
    return np.asarray(value, np.float64 if isinstance(value, float) else None)


@functools.lru_cache(maxsize=1024)  # many tensors have one shape
def _described(dims: tuple[int, ...], type_name: str) -> bytes:
    """The shape and dtype of a tensor."""
    return b"".join(b"\x08" + encoded(size) for size in dims) + message(TYPE, type_name.encode())
