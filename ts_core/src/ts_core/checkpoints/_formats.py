"""Which format a file has, told by its content, and which one it shall get, told by its suffix."""

from __future__ import annotations

from pathlib import Path

from ts_core.checkpoints._arrays import npy_folder
from ts_core.checkpoints._sharded import INDEX_SUFFIX, ShardedReader, is_complete
from ts_core.checkpoints.formats import core_formats
from ts_core.contract.byte_sources import ByteSource, MappedFile
from ts_core.contract.files import reading
from ts_core.contract.formats import Format
from ts_core.contract.nouns import OpenOptions
from ts_core.contract.readers import CheckpointReader
from ts_core.errors import ArgumentError, CheckpointError, CheckpointNotFoundError, PluginWarning, TsError, warn

Files = tuple[tuple[str, tuple[int, ...]], ...]  # the files of a checkpoint and the identity of each

_HEAD = 16  # bytes
_ATTEMPTS = 100  # to open a checkpoint that is replaced meanwhile


def known_formats() -> dict[str, Format]:
    """Every format by its name: the core's own, then the plug-ins', in the order in which they are asked."""
    from ts_core.frameworks import plugins

    known: dict[str, Format] = {}
    for format in (*core_formats(), *(format for info in plugins() for format in info.formats)):
        known.setdefault(format.name, format)
    return known


def framework_of_format(name: str | None) -> str | None:
    """The framework that a format belongs to; None for a format of the core, or an unknown one."""
    from ts_core.frameworks import plugins

    return next((info.name for info in plugins() if any(format.name == name for format in info.formats)), None)


def open_file(path: Path, options: OpenOptions) -> tuple[CheckpointReader, Files]:
    """The reader for a file or folder, whatever its format; and the files behind it.

    Raises:
        CheckpointNotFoundError: there is nothing of that name.
        CheckpointError: no format fits its content, or the one that fits finds it damaged.
        ArgumentError: ``key`` was given, and the format has nothing to choose from.
    """
    for _ in range(_ATTEMPTS):
        place = _leading_to(path)
        before = _stamp(place)
        try:
            found = _open_place(place, options)
        except CheckpointError:
            if _leading_to(path) == place and _stamp(place) == before:
                raise
        else:
            if not place.name.endswith(INDEX_SUFFIX) or _stamp(place) == before:
                return found
            found[0].close()
        # Another process has replaced the checkpoint meanwhile: its files would be some of one, some of the other.
    raise CheckpointError(f"{path}: another process replaces it again and again; copy it to read it")


def _leading_to(path: Path) -> Path:
    """The file or folder that a path means: itself or an index, its own or that of a folder.

    Of a file and an index of its name the younger one is meant, unless shards are missing from the index.
    """
    if path.is_dir():
        indexes = sorted(path.glob(f"*{INDEX_SUFFIX}"))
        if len(indexes) > 1:
            listed = ", ".join(index.name for index in indexes)
            raise CheckpointError(f"{path}: several indexes ({listed}); name the one to open")
        if not indexes:
            return path
        path = path / (indexes[0].name.removesuffix(INDEX_SUFFIX) or indexes[0].name)
    index = path.parent / f"{path.name}{INDEX_SUFFIX}"
    beside, own = _stamp(index), _stamp(path)
    if beside is None or (own is not None and (own[-1] >= beside[-1] or not is_complete(index))):
        return path
    return index


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What tells a file from another of the same path, last the time of its last change; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open_place(path: Path, options: OpenOptions) -> tuple[CheckpointReader, Files]:
    if path.is_dir():
        return _open_folder(path, options)
    if not path.exists():
        raise CheckpointNotFoundError(f"{path}: there is no such file or folder")
    if not path.is_file():
        raise CheckpointError(f"{path}: it is neither a file nor a folder, but a pipe or a device")
    if path.name.endswith(INDEX_SUFFIX):
        return _open_shards(path, options)
    source = MappedFile(path)
    format = _recognised(source)
    if format is None:
        raise source.error(_unknown(bytes(source.read(0, _HEAD))))
    if not format.nested:
        _refuse_key(path, format.name, options)
    with reading(path):
        return format.open(source, options), ((str(path), source.identity),)


def _recognised(source: ByteSource) -> Format | None:
    for format in known_formats().values():
        try:
            if format.sniff(source):
                return format
        except TsError:
            raise
        except Exception as problem:  # one format that fails must not keep the others from their files
            warn(PluginWarning(f"format {format.name}: sniff failed: {type(problem).__name__}: {problem}"))
    # A file that is called like one of the core's is damaged; of any other, the plug-in may be missing.
    return next((format for format in core_formats() if format.suffix_of(source.path)), None)


def _refuse_key(path: Path, format: str, options: OpenOptions) -> None:
    if options.key is not None:
        raise ArgumentError(f"{path}: key={options.key!r}: a {format} checkpoint has no nested state dicts to choose")


def _open_shards(path: Path, options: OpenOptions) -> tuple[CheckpointReader, Files]:
    index = MappedFile(path)
    files: list[tuple[str, tuple[int, ...]]] = [(str(path), index.identity)]

    def open_shard(shard: Path) -> CheckpointReader:
        reader, more = open_file(shard, options)
        files.extend(more)
        return reader

    return ShardedReader(index, open_shard), tuple(files)


def _open_folder(path: Path, options: OpenOptions) -> tuple[CheckpointReader, Files]:
    if arrays := npy_folder(path):
        _refuse_key(path, "npy", options)
        return arrays, arrays.files
    raise CheckpointError(f"{path}: the folder holds neither .npy files nor an index of shards (*{INDEX_SUFFIX})")


def _unknown(head: bytes) -> str:
    from ts_core.frameworks import plugins

    known = known_formats()
    absent = [f"{name} ({cure})" for name, cure in _absent(known)]
    broken = [
        f"{info.plugin} is broken: {info.problem}" for info in plugins() if info.problem and not info.distribution
    ]
    advice = "".join([f"; not installed: {', '.join(absent)}" if absent else "", *(f"; {line}" for line in broken)])
    return (
        f"no known format begins with the bytes {head.hex(' ')} ({head!r}); "
        f"the formats known are {', '.join(known)}{advice}"
    )


def _absent(known: dict[str, Format]) -> list[tuple[str, str]]:
    """The frameworks with files of their own whose plug-ins are missing, and what to install."""
    from ts_core.frameworks import CURES

    return [(name, CURES[name]) for name in ("torch", "mindspore") if name not in known]


def format_of(path: Path, format: str | None) -> Format:
    """The format to write: the one of the name given, else the one that the suffix stands for.

    Raises:
        ArgumentError: nobody writes that format, or the suffix stands for none.
    """
    known = known_formats()
    written = {name: one for name, one in known.items() if one.create is not None}
    if format is not None:
        if format in written:
            return written[format]
        problem = "can only be read" if format in known else "is unknown"
        raise ArgumentError(f"format={format!r} {problem}; the formats are {', '.join(written)}")
    best = max(written.values(), key=lambda one: len(one.suffix_of(path)), default=None)
    if best is not None and best.suffix_of(path):
        return best
    listed = ", ".join(f"{name} ({' '.join(one.suffixes)})" for name, one in written.items())
    raise ArgumentError(
        f"{path}: the suffix {path.suffix!r} names no format; give one of these suffixes, or name one of the formats "
        f"(format=, --format): {listed}" + "".join(f"; for more: {cure}" for _, cure in _absent(known))
    )
