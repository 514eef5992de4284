"""The safetensors format: an 8-byte length, a JSON header of that length, then the tensors without gaps.

Source of the format: https://huggingface.co/docs/safetensors. Our own reader, because the views of the package's NumPy
reader are copies and it knows no float8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.dtypes import DtypeTable
from ts_core.contract.files import OutputFile, count_elements, reading, unique_keys
from ts_core.contract.formats import Format
from ts_core.contract.framework_info import DEFAULT_TAG
from ts_core.contract.nouns import CheckpointIndex, OfTheFile, OpenOptions, TensorInfo
from ts_core.contract.plan import is_text, require_dtypes, require_names
from ts_core.errors import CheckpointError

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = DtypeTable(
    {
        "BOOL": "bool",
        "U8": "uint8",
        "I8": "int8",
        "U16": "uint16",
        "I16": "int16",
        "U32": "uint32",
        "I32": "int32",
        "U64": "uint64",
        "I64": "int64",
        "F16": "float16",
        "BF16": "bfloat16",
        "F32": "float32",
        "F64": "float64",
        "C64": "complex64",
        "F8_E4M3": "float8_e4m3fn",
        "F8_E5M2": "float8_e5m2",
        "F8_E8M0": "float8_e8m0fnu",
        "F8_E4M3FNUZ": "float8_e4m3fnuz",
        "F8_E5M2FNUZ": "float8_e5m2fnuz",
    }
)
_PACKED = "Int4"  # the one dtype that MindSpore's reader looks for there
_DIGITS = 10  # more than a number of tensors has
_MAX_HEADER = 100_000_000  # bytes, the limit of the reference implementation
_METADATA = "__metadata__"
_ORDER = "ts_order"  # metadata of ours: for each tensor of the index, where it stands in the header
_OF_THE_FILE = ("format", "crc_num")  # who wrote it, and MindSpore's checksum
_LIBRARIES = (
    DEFAULT_TAG,
    "tf",
    "flax",
    "mlx",
)  # what `format` may say for Hugging Face's transformers to load the file
_ALIGNMENT = 8  # bytes, of the first tensor


def _sniff(source: ByteSource) -> bool:
    """Whether a file has a safetensors header, by its length and its first letter."""
    return bytes(source.read(8, 9)) == b"{" and int.from_bytes(source.read(0, 8), "little") <= len(source) - 8


class SafetensorsReader:
    """A safetensors file; its tensors are views of the mapped file."""

    format = "safetensors"

    def __init__(self, source: ByteSource, options: OpenOptions) -> None:
        self._file = source
        with reading(source.path):
            self._offsets, self.index = _parse(self._file)

    def read(self, name: str) -> Array:
        """A view of the mapped file."""
        info = self.index[name]
        return self._file.array(self._offsets[name], info.shape, info.dtype)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _parse(file: ByteSource) -> tuple[dict[str, int], CheckpointIndex]:
    length = int.from_bytes(file.read(0, 8), "little")
    if len(file) < 8 or length > min(len(file) - 8, _MAX_HEADER):
        raise file.error(f"a safetensors header of {length} bytes does not fit into a file of {len(file)} bytes")
    header = json.loads(bytes(file.read(8, 8 + length)), object_pairs_hook=unique_keys)
    if not isinstance(header, dict):
        raise file.error("the safetensors header is not a JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise file.error("the __metadata__ of the safetensors header does not map names to strings")
    metadata = {name: OfTheFile(value) if name in _OF_THE_FILE else value for name, value in metadata.items()}
    start = 8 + length
    infos: dict[str, TensorInfo] = {}
    offsets: dict[str, int] = {}
    for name, entry in header.items():
        dtype = DTYPES.dtype(entry["dtype"])
        if dtype is None:
            raise file.error(f"{name}: the dtype {entry['dtype']!r} cannot be read")
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (begin, end)):
            raise file.error(f"{name}: offsets must be whole numbers from 0 on, not {begin!r:.40} and {end!r:.40}")
        nbytes = count_elements(shape) * dtype.itemsize
        if end - begin != nbytes or start + end > len(file):
            raise file.error(
                f"{name}: {nbytes} bytes of {dtype.name} {shape} cannot lie at {begin} to {end} "
                f"of {len(file) - start} bytes of data"
            )
        infos[name] = TensorInfo(name, shape, dtype, nbytes)
        offsets[name] = start + begin
    _check_gapless(file, infos, offsets, start)
    return offsets, CheckpointIndex(_ordered(infos, metadata.pop(_ORDER, "")), metadata)


def _ordered(infos: dict[str, TensorInfo], order: str) -> dict[str, TensorInfo]:
    """The tensors in the order in which they were given to the writer, if it is told and fits."""
    names = list(infos)
    places = [int(place) for place in order.split() if place.isdecimal() and len(place) < _DIGITS]
    if len(places) != len(names) or set(places) != set(range(len(names))):
        return infos
    return {names[place]: infos[names[place]] for place in places}


def _check_gapless(file: ByteSource, infos: Mapping[str, TensorInfo], offsets: Mapping[str, int], start: int) -> None:
    """The format allows neither overlaps nor gaps, so that a file cannot mean two things or hide a third."""
    position = start
    for name in sorted(offsets, key=lambda name: (offsets[name], infos[name].nbytes)):
        if offsets[name] != position:
            raise file.error(f"{name}: its data overlaps another tensor's, or leaves a gap before it")
        position += infos[name].nbytes
    if position != len(file):
        raise file.error(f"{len(file) - position} bytes after the last tensor belong to nothing")


class SafetensorsWriter:
    """Writes the header from the index, then each tensor to its place.

    Every tensor is aligned, as readers that map the file need it: where the order of the index does not see to that,
    wider dtypes come first. The header lists the tensors in the order of the data: MindSpore's reader wants it so; an
    entry of the metadata then tells the order of the index.
    """

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        require_dtypes("safetensors", index, DTYPES)
        require_names("safetensors", index, {_METADATA: "the format keeps it for itself"}.get)
        notes = {name: value for name, value in index.metadata.items() if _is_kept(name, value, index)}
        self.dropped = tuple(name for name in index.metadata if name not in notes)
        metadata = {"format": DEFAULT_TAG, **notes}
        header: dict[str, Any] = {_METADATA: metadata}
        self._offsets: dict[str, int] = {}
        position, aligned = 0, _aligned(index)
        if [info.name for info in aligned] != list(index):
            places = {info.name: str(place) for place, info in enumerate(aligned)}
            metadata[_ORDER] = " ".join(places[name] for name in index)
        for info in aligned:
            self._offsets[info.name] = position
            header[info.name] = {
                "dtype": DTYPES.spell(info.dtype),
                "shape": list(info.shape),
                "data_offsets": [position, position + info.nbytes],
            }
            position += info.nbytes
        encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % _ALIGNMENT)
        if len(encoded) > _MAX_HEADER:
            raise CheckpointError(
                f"the names take {len(encoded)} bytes; a safetensors header has at most {_MAX_HEADER}; "
                "nothing was written. max_shard_size= splits the checkpoint"
            )
        self._start = 8 + len(encoded)
        self._file = OutputFile(path)
        self._file.write(len(encoded).to_bytes(8, "little") + encoded)

    def write(self, name: str, array: Array) -> None:
        """Put the bytes of one tensor into their place."""
        self._file.seek(self._start + self._offsets[name])
        self._file.write_array(array)

    def finish(self) -> None:
        """Flush."""
        self._file.finish()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _is_kept(name: str, value: object, index: CheckpointIndex) -> bool:
    """Whether the header has a place for an entry. MindSpore takes one with the name of a tensor for its dtype."""
    if name in index:
        return value == _PACKED
    if isinstance(value, OfTheFile) and not (name == "format" and value in _LIBRARIES):
        return False
    return is_text(name) and is_text(value) and name != _ORDER


def _aligned(index: CheckpointIndex) -> list[TensorInfo]:
    """The tensors in an order in which each begins at a multiple of its item size: that of the index if it is one."""
    infos = list(index.values())
    starts = accumulate((info.nbytes for info in infos), initial=0)
    if all(start % info.dtype.itemsize == 0 for start, info in zip(starts, infos, strict=False)):
        return infos
    return sorted(infos, key=lambda info: -info.dtype.itemsize)


FORMAT = Format("safetensors", (".safetensors",), _sniff, SafetensorsReader, SafetensorsWriter, shardable=True)
