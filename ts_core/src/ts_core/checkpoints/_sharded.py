"""Checkpoints that are spread over several files, and the index that says which tensor is in which.

Source of the format: the ``*.index.json`` files of Hugging Face, ``{"metadata": {"total_size": N}, "weight_map":
{tensor name: shard file}}``, beside shards named ``<name>-00001-of-0000N.<ext>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource, MappedFile
from ts_core.contract.files import reading, unique_keys
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import CheckpointReader
from ts_core.errors import ArgumentError, CheckpointError, CheckpointNotFoundError, TsError, UnsafeCheckpointError

Array = np.ndarray[Any, np.dtype[Any]]

INDEX_SUFFIX = ".index.json"
_SIZES = ("total_size", "total_parameters")  # metadata that an index has of its own
_LONGEST_SIZE = 20  # digits
# Of metadata that is to be JSON, or to be compared.
_DEEPEST = 8
_LONGEST_NUMBER = 1 << 13  # bits; Python writes no number of 4300 digits
_MOST_PARTS = 1 << 18
_MOST_TEXT = 1 << 26  # characters
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class ShardedReader:
    """Several files as one checkpoint, in the order of its index."""

    def __init__(self, source: ByteSource, open_shard: Callable[[Path], CheckpointReader]) -> None:
        path = source.path
        with reading(path):
            shards, metadata = _parse(source)
        self._readers: dict[str, CheckpointReader] = {}
        self._shard = shards
        self.files = (path, *(path.parent / shard for shard in dict.fromkeys(shards.values())))
        infos: dict[str, TensorInfo] = {}
        for name, shard in shards.items():
            if shard not in self._readers:
                file = path.parent / shard
                if not file.is_file():
                    raise CheckpointNotFoundError(f"{path}: the shard {shard} is missing from {path.parent}")
                self._readers[shard] = open_shard(file)
            index = self._readers[shard].index
            if name not in index:
                raise CheckpointError(f"{path}: {name} should be in {shard}, which does not hold it")
            infos[name] = index[name]
        extra = [name for reader in self._readers.values() for name in reader.index if name not in shards]
        if extra:
            raise CheckpointError(f"{path}: the shards hold tensors that the index does not list: {', '.join(extra)}")
        self.format = next((reader.format for reader in self._readers.values()), "safetensors")
        readers = {shard: reader.index.metadata for shard, reader in self._readers.items()}
        self.index = CheckpointIndex(infos, _merged(metadata, readers))

    def read(self, name: str) -> Array:
        """The tensor, from the shard that holds it."""
        return self._readers[self._shard[name]].read(name)

    def close(self) -> None:
        """Let go of every shard."""
        for reader in self._readers.values():
            reader.close()


def _merged(metadata: Mapping[str, object], of_shards: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The metadata of the index and of the shards; what these do not agree upon is told apart by the shard."""
    merged = dict(metadata)
    for shard, entries in of_shards.items():
        for name, value in entries.items():
            if not _is_equal(merged.setdefault(name, value), value):
                merged[f"{name} ({shard})"] = value
    return merged


def _is_equal(one: object, other: object) -> bool:
    if one is other:
        return True
    try:
        return _spread(one) is not None and bool(one == other)
    except Exception:  # what a pickle holds may be anything
        return False


def _parse(source: ByteSource) -> tuple[dict[str, str], dict[str, object]]:
    path = source.path
    content = json.loads(bytes(source.read(0, len(source))), object_pairs_hook=unique_keys)
    shards = content["weight_map"] if isinstance(content, dict) and "weight_map" in content else None
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise CheckpointError(f"{path}: an index has a weight_map of tensor names to file names, this file has none")
    for name, shard in shards.items():
        if Path(shard).name != shard or "\\" in shard or "\0" in shard:
            raise UnsafeCheckpointError(
                f"{path}: the shard of {name} is {shard!r}; only a file beside the index is read"
            )
        if shard.endswith(INDEX_SUFFIX):
            raise CheckpointError(f"{path}: the shard of {name} is {shard}, which is an index itself")
    metadata = content.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path}: the metadata of an index is an object, not {type(metadata).__name__}")
    return shards, {name: value for name, value in metadata.items() if name not in _SIZES}


def listed_shards(index: Path) -> list[str]:
    """The names of the shards in an index that may be there, or be damaged: then there are none."""
    try:
        return list(dict.fromkeys(_parse(MappedFile(index))[0].values()))
    except (TsError, ValueError, LookupError, RecursionError):
        return []


def is_complete(index: Path) -> bool:
    """Whether an index names shards, and all of them are there."""
    shards = listed_shards(index)
    return bool(shards) and all(index.with_name(shard).is_file() for shard in shards)


def parse_size(size: int | str) -> int:
    """A number of bytes from ``5_000_000_000``, ``"5GB"`` (10^9) or ``"5GiB"`` (2^30).

    Raises:
        ArgumentError: it is no positive size.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B)\s*", size, re.IGNORECASE)
        unit = _UNITS.get(match[2].upper()) if match else None
        if match is None or unit is None or len(match[1]) > _LONGEST_SIZE:
            raise ArgumentError(f"max_shard_size: {size!r} is no size; write it as '5GB', '500MB' or '4GiB'")
        size = int(float(match[1]) * unit)
    if size <= 0:
        raise ArgumentError(f"max_shard_size must be positive, not {size}")
    return size


def split(index: CheckpointIndex, max_bytes: int) -> list[CheckpointIndex]:
    """The index in consecutive pieces of at most so many bytes; a tensor that is larger gets a piece of its own."""
    pieces: list[dict[str, TensorInfo]] = [{}]
    size = 0
    for name, info in index.items():
        if pieces[-1] and size + info.nbytes > max_bytes:
            pieces.append({})
            size = 0
        pieces[-1][name] = info
        size += info.nbytes
    return [CheckpointIndex(piece, index.metadata) for piece in pieces]


def stem_and_suffix(path: Path, suffix: str) -> tuple[str, str]:
    """The parts of a file's name between which its shards are numbered; `suffix` is that of its format."""
    suffix = path.name[len(path.name) - len(suffix or path.suffix) :]
    return path.name.removesuffix(suffix), suffix


def shard_paths(path: Path, count: int, suffix: str, mark: str = "") -> list[Path]:
    """``model.safetensors`` → ``model-00001-of-00003.safetensors`` and so on, or with a mark after ``model``."""
    stem, suffix = stem_and_suffix(path, suffix)
    return [path.with_name(f"{stem}{mark}-{number:05}-of-{count:05}{suffix}") for number in range(1, count + 1)]


def index_path(path: Path) -> Path:
    """``model.safetensors`` → ``model.safetensors.index.json``."""
    return path.with_name(path.name + INDEX_SUFFIX)


def index_metadata(metadata: Mapping[str, object]) -> dict[str, object]:
    """What an index can hold of the metadata of a checkpoint: what JSON gives back as it was."""
    return {name: value for name, value in metadata.items() if name not in _SIZES and _is_json(value)}


def index_bytes(shards: Iterable[tuple[Path, CheckpointIndex]], metadata: Mapping[str, object]) -> bytes:
    """The content of the index file."""
    weight_map = {name: path.name for path, piece in shards for name in piece}
    total = sum(info.nbytes for _, piece in shards for info in piece.values())
    return json.dumps({"metadata": {"total_size": total, **metadata}, "weight_map": weight_map}, indent=2).encode()


def _is_json(value: object) -> bool:
    parts = _spread(value)
    return parts is not None and all(_is_json_part(part) and depth <= _DEEPEST for part, depth in parts)


def _is_json_part(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str for key in value)
    if type(value) is int:
        return value.bit_length() <= _LONGEST_NUMBER
    return value is None or type(value) in (list, bool, str) or (type(value) is float and isfinite(value))


def _spread(value: object) -> list[tuple[object, int]] | None:
    """A value and all that is inside of it, as often as it is there, with how deep; None where that is too much.

    A few hundred bytes of a pickle can hold lists of lists of lists that are one and the same.
    """
    found, text = [(value, 0)], 0
    for part, depth in found:  # it grows as it is gone through
        inner: Collection[object] = ()
        if isinstance(part, dict):
            inner = [*part, *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            inner = part
        elif isinstance(part, str | bytes):
            text += len(part)
        if len(found) + len(inner) > _MOST_PARTS or text > _MOST_TEXT:
            return None
        found += [(one, depth + 1) for one in inner]
    return found
