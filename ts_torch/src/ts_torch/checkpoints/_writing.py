"""Writing torch's files: the archive that ``torch.save`` would make of a state dict."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.errors import CheckpointError
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.plan import require_dtypes, require_tensors
from ts_core.contract.zips import ZipWriter
from ts_torch.checkpoints._tensors import DTYPES, STORAGES

Array = np.ndarray[Any, np.dtype[Any]]

_ROOT = "archive/"
_LONGEST = 8 * 255  # bits of an integer that a pickle holds in its short form, the only one that torch reads
_MOST_REPEATED = 1 << 16  # values in lists and dicts that stand in more than one place
_STORAGE_OF = {dtype: cls for cls, dtype in STORAGES.items() if dtype is not None}


class TorchWriter:
    """Writes a state dict as torch does since 1.6; with metadata, a dict that has it beside ``state_dict``.

    ``torch.load`` reads the file with its defaults (``weights_only=True``) and with ``mmap=True``.
    """

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        require_dtypes("a torch checkpoint", index, DTYPES)
        require_tensors("a torch checkpoint", index)
        plain = _Plain()
        metadata = {
            name: value for name, value in index.metadata.items() if name != "state_dict" and plain.holds(value)
        }
        self.dropped = tuple(name for name in index.metadata if name not in metadata)
        self._keys = {name: str(number) for number, name in enumerate(index)}
        content = bytes(_pickled(index, self._keys, metadata))
        self._zip = ZipWriter(path)
        self._zip.add(_ROOT + "data.pkl", content)
        self._zip.add(_ROOT + ".format_version", b"1")
        self._zip.add(_ROOT + ".storage_alignment", b"64")
        self._zip.add(_ROOT + "byteorder", b"little")

    def write(self, name: str, array: Array) -> None:
        """Append one storage."""
        self._zip.add(f"{_ROOT}data/{self._keys[name]}", b"", array)

    def finish(self) -> None:
        """Write what comes last."""
        self._zip.add(_ROOT + "version", b"3\n")
        self._zip.finish()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


class _Plain:
    """Tells metadata that is made of what needs no class to be unpickled, and is no larger for being written out.

    What stands in several places is written in each: so much of it may be, and no more.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._room = _MOST_REPEATED

    def holds(self, value: object, depth: int = 8) -> bool:
        """Whether a value is so."""
        if isinstance(value, str | list | tuple | dict) and len(value):
            if id(value) in self._seen:
                self._room -= len(value) >> 6 if isinstance(value, str) else 1 + len(value)
                if self._room < 0:
                    return False
            self._seen.add(id(value))
        if isinstance(value, list | tuple):
            return depth > 0 and all(self.holds(item, depth - 1) for item in value)
        if isinstance(value, dict):
            return depth > 0 and all(
                isinstance(key, str | int) and self.holds(key, 0) and self.holds(item, depth - 1)
                for key, item in value.items()
            )
        if type(value) is int:
            return value.bit_length() < _LONGEST
        return value is None or type(value) in (bool, float, str)


def _pickled(index: CheckpointIndex, keys: Mapping[str, str], metadata: Mapping[str, object]) -> bytearray:
    """The pickle of the state dict, in protocol 2."""
    out = bytearray(b"\x80\x02")
    if metadata:
        out += b"}(" + _value("state_dict")
    out += _ORDERED_DICT + b")R("
    for name, info in index.items():
        out += _value(name) + b"".join(_tensor(info, keys[name]))
    out += b"u"
    if metadata:
        out += b"".join(_value(name) + _value(value) for name, value in metadata.items()) + b"u"
    return out + b"."


_ORDERED_DICT = b"ccollections\nOrderedDict\n"


def _tensor(info: TensorInfo, key: str) -> Iterator[bytes]:
    """Calls ``_rebuild_tensor_v2``, or ``_v3`` for a dtype that has no storage class."""
    name = str(DTYPES.spell(info.dtype))
    cls = _STORAGE_OF.get(name)
    numel = info.nbytes // info.dtype.itemsize
    strides = [1]
    for size in reversed(info.shape[1:]):
        strides.insert(0, strides[0] * max(size, 1))
    yield b"ctorch._utils\n_rebuild_tensor_v2\n(" if cls else b"ctorch._utils\n_rebuild_tensor_v3\n("
    yield b"(" + _value("storage")
    yield f"ctorch\n{cls}\n".encode() if cls else b"ctorch.storage\nUntypedStorage\n"
    yield _value(key) + _value("cpu") + _value(numel if cls else info.nbytes) + b"tQ"
    yield _value(0) + _value(info.shape) + _value(tuple(strides[: len(info.shape)]))
    yield b"\x89" + _ORDERED_DICT + b")R"  # requires no gradient; no backward hooks
    yield b"tR" if cls else f"ctorch\n{name}\ntR".encode()


def _value(value: object) -> bytes:
    """A plain value; nothing of what is written here is ever named twice, so that no memo is needed."""
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        encoded = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(encoded)) + encoded
    if isinstance(value, tuple | list):
        opening, closing = (b"(", b"t") if isinstance(value, tuple) else (b"](", b"e")
        return opening + b"".join(map(_value, value)) + closing
    if isinstance(value, dict):
        return b"}(" + b"".join(_value(key) + _value(item) for key, item in value.items()) + b"u"
    raise CheckpointError(f"{type(value).__name__} cannot be written as metadata")
