"""Which format a file has, told by its content, and which one it shall get, told by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ts_core.checkpoints import _npy as npy
from ts_core.checkpoints import _safetensors as safetensors
from ts_core.checkpoints._arrays import MAGIC, npy_file, npy_folder
from ts_core.checkpoints._sharded import INDEX_SUFFIX, ShardedReader
from ts_core.contract.files import MappedFile
from ts_core.contract.nouns import CheckpointIndex, OpenOptions
from ts_core.contract.readers import CheckpointReader, CheckpointWriter
from ts_core.contract.zips import read_directory
from ts_core.errors import ArgumentError, CheckpointError, CheckpointNotFoundError

# The formats that belong to no framework: name → suffixes, and what writes them.
SUFFIXES: Mapping[str, tuple[str, ...]] = {"safetensors": (".safetensors",), "npz": (".npz",)}
_WRITERS: Mapping[str, Callable[[Path, CheckpointIndex], CheckpointWriter]] = {
    "safetensors": safetensors.SafetensorsWriter,
    "npz": npy.NpzWriter,
}
SHARDED = ("safetensors", "torch")  # the formats for which others read an index of shards
_HEAD = 16  # bytes


def open_file(path: Path, options: OpenOptions) -> CheckpointReader:
    """The reader for a file or folder, whatever its format.

    Raises:
        CheckpointNotFoundError: there is nothing of that name.
        CheckpointError: no format fits its content, or the one that fits finds it damaged.
    """
    if path.is_dir():
        return _open_folder(path, options)
    if not path.exists():
        beside = path.with_name(path.name + INDEX_SUFFIX)
        if beside.exists():
            return ShardedReader(beside, lambda shard: open_file(shard, options))
        raise CheckpointNotFoundError(f"{path}: there is no such file or folder")
    if not path.is_file():
        raise CheckpointError(f"{path}: it is neither a file nor a folder")
    file = MappedFile(path)
    head, size = bytes(file.data[:_HEAD]), len(file)
    file.close()
    if safetensors.is_safetensors(head, size):
        return safetensors.SafetensorsReader(path)
    if path.name.endswith(INDEX_SUFFIX):
        return ShardedReader(path, lambda shard: open_file(shard, options))
    if head.startswith(MAGIC):
        return npy_file(path)
    if head.startswith(b"PK") and _is_npz(path):
        return npy.NpzReader(path, options.verify)
    from ts_core.frameworks import registry

    reader: CheckpointReader | None = registry().first("open_checkpoint", path, path=path, options=options)
    if reader is not None:
        return reader
    if path.suffix in SUFFIXES["safetensors"]:
        return safetensors.SafetensorsReader(path)  # it says what is wrong with the header
    if path.suffix in SUFFIXES["npz"] and head.startswith(b"PK"):
        return npy.NpzReader(path, options.verify)
    raise CheckpointError(_unknown(path, head))


def _is_npz(path: Path) -> bool:
    try:
        names = [entry.name for entry in read_directory(MappedFile(path))]
    except CheckpointError:
        return False
    return all(name.endswith(".npy") for name in names)


def _open_folder(path: Path, options: OpenOptions) -> CheckpointReader:
    indexes = sorted(path.glob(f"*{INDEX_SUFFIX}"))
    if len(indexes) > 1:
        raise CheckpointError(f"{path}: several indexes ({', '.join(i.name for i in indexes)}); name the one to open")
    if indexes:
        return open_file(indexes[0], options)
    if arrays := npy_folder(path):
        return arrays
    raise CheckpointError(f"{path}: the folder holds neither .npy files nor an index of shards (*{INDEX_SUFFIX})")


def _unknown(path: Path, head: bytes) -> str:
    from ts_core.frameworks import CURES, plugins

    infos = plugins()
    known = [*SUFFIXES, *(name for info in infos for name in info.formats)]
    absent = [f"{name} ({CURES[name]})" for name in ("torch", "mindspore") if name not in known]
    broken = [f"{info.plugin} is broken: {info.problem}" for info in infos if info.problem and not info.distribution]
    advice = "".join(
        [
            f"; not installed: {', '.join(absent)}" if absent else "",
            f"; {'; '.join(broken)}" if broken else "",
        ]
    )
    return (
        f"{path}: no known format begins with the bytes {head.hex(' ')} ({head!r}); "
        f"the formats known are {', '.join(known)}{advice}"
    )


def format_of(path: Path, format: str | None) -> str:
    """The name of the format to write: the one given, else the one that the suffix stands for.

    Raises:
        ArgumentError: nobody writes that format, or the suffix stands for none.
    """
    from ts_core.frameworks import CURES, plugins

    known = {**SUFFIXES, **{name: suffixes for info in plugins() for name, suffixes in info.formats.items()}}
    if format is not None:
        if format in known:
            return format
        raise ArgumentError(f"format={format!r} is unknown; the formats are {', '.join(known)}")
    for name, suffixes in known.items():
        if path.suffix.lower() in suffixes:
            return name
    listed = ", ".join(f"{name} ({' '.join(suffixes)})" for name, suffixes in known.items())
    absent = [CURES[name] for name in ("torch", "mindspore") if name not in known]
    raise ArgumentError(
        f"{path}: the suffix {path.suffix!r} names no format; give one of these suffixes, or name one of the formats "
        f"(format=, --format): {listed}" + "".join(f"; for more: {cure}" for cure in absent)
    )


def create_file(path: Path, format: str, index: CheckpointIndex) -> CheckpointWriter:
    """A writer to a path, after the index has been checked against what the format can hold."""
    if format in _WRITERS:
        return _WRITERS[format](path, index)
    from ts_core.frameworks import registry

    writer: CheckpointWriter | None = registry().first("create_checkpoint", path, path=path, format=format, index=index)
    if writer is None:
        raise ArgumentError(f"no plug-in writes the format {format!r}")
    return writer
