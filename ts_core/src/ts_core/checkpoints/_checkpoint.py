"""Opening and saving checkpoints of every format."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.checkpoints._arrays import identity_of, npy_folder
from ts_core.checkpoints._formats import Files, format_of, known_formats, open_file
from ts_core.checkpoints._replacement import free_shard_paths, journal, standing
from ts_core.checkpoints._sharded import INDEX_SUFFIX, index_bytes, index_metadata, index_path, parse_size, split
from ts_core.commit import replacing, require_space
from ts_core.contract.dtypes import dtype_name
from ts_core.contract.files import path_of, reading
from ts_core.contract.formats import Format
from ts_core.contract.nouns import CheckpointIndex, OpenOptions
from ts_core.contract.plan import require_shapes
from ts_core.contract.readers import CheckpointReader, LazyTensors
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError, CheckpointNotFoundError, TsError

Array = np.ndarray[Any, np.dtype[Any]]

_OVERHEAD = 1024  # bytes a tensor, more than any format needs for names and shapes


class Checkpoint(LazyTensors):
    """An open checkpoint: a read-only mapping of names to arrays, in file order, and a context manager.

    Opening it read the index only. A tensor is a view of the memory-mapped file (or a copy, where the format lays it
    out so that no view exists); it stays valid after the checkpoint is closed.

    Attributes:
        path: the file or folder.
        format: the name of its format, ``"torch"``, ``"mindspore"``, ``"safetensors"``, ``"npz"``, ``"npy"``.
    """

    def __init__(
        self,
        path: Path,
        reader: CheckpointReader,
        options: OpenOptions = OpenOptions(),  # noqa: B008 - it is immutable
        strip_prefix: str | None = None,
        files: Files = (),
    ) -> None:
        self.path = path
        self.format = reader.format
        self._folder = Path() if path.is_absolute() else Path.cwd()  # another process may be in another one
        self._options, self._strip_prefix, self._files = options, strip_prefix, files
        self._reader, self._closed = reader, False
        self._index = reader.index
        self._names: Mapping[str, str] | None = None
        self._part: Checkpoint | None = None  # that this is the whole of
        if strip_prefix:
            self._names, self._index = _stripped(path, reader.index, strip_prefix)

    @property
    def index(self) -> CheckpointIndex:
        """Names, shapes and dtypes, in file order; no data is read."""
        return self._index

    def read(self, name: str) -> Array:
        """One tensor, read-only.

        Raises:
            CheckpointError: the checkpoint was closed, or its file is damaged, missing or another one by now.
        """
        inner = self._inner(name)
        with reading(self.path):
            return self._reader.read(inner)

    def runs(self, name: str) -> Sequence[Array]:
        """One tensor, in slices if it was written in slices; see :meth:`LazyTensors.runs`."""
        inner, runs = self._inner(name), getattr(self._reader, "runs", None)
        with reading(self.path):
            return runs(inner) if runs else [self._reader.read(inner)]

    def _inner(self, name: str) -> str:
        """What the reader calls a tensor."""
        if self._closed:
            raise CheckpointError(f"{self.path}: the checkpoint was closed: open it again to read {name}")
        return self._names[name] if self._names else self._index[name].name

    def close(self) -> None:
        """Let go of the file; arrays that were handed out stay valid."""
        self._closed = True
        self._reader.close()

    @property
    def sectioned(self) -> bool:
        """Whether its sections can be read as well: nobody chose a part of the file, or changed its names."""
        return not self._options.key and self._names is None and hasattr(self._reader, "whole")

    @property
    def undecided(self) -> tuple[str, ...]:
        """The names of the models that it holds, when there are several and nobody chose one."""
        models = self._models()
        return models if len(models) > 1 and self._options.key is None and hasattr(self._reader, "whole") else ()

    def _models(self) -> tuple[str, ...]:
        return tuple(s.name for s in self._reader.index.sections if s.kind == "model" and s.tensors)

    @property
    def key(self) -> str | None:
        """The part of the file that was chosen."""
        return self._options.key

    def whole(self) -> Checkpoint:
        """Everything in the file under its full paths, be it of a model or beside it; see :attr:`sectioned`."""
        whole = Checkpoint(self.path, self._reader.whole(), self._options, None, self._files)  # type: ignore[attr-defined]  # which not every reader has
        whole._part = self
        return whole

    @property
    def travels(self) -> bool:
        """It pickles as its path and options, and is opened again where it is unpickled."""
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        if self._part is not None:
            return Checkpoint.whole, (self._part,)
        files = tuple((str(self._folder / name), identity) for name, identity in self._files)
        return _reopened, (self._folder / self.path, self._options, self._strip_prefix, files)

    def __repr__(self) -> str:
        return f"<Checkpoint {str(self.path)!r}, {self.format}, {len(self)} tensors>"


def _stripped(path: Path, index: CheckpointIndex, prefix: str) -> tuple[dict[str, str], CheckpointIndex]:
    names = _without_prefix(path, index, prefix)
    infos = {short: replace(index[name], name=short) for short, name in names.items()}
    sections = tuple(
        replace(section, tensors=tuple(infos)) if section.tensors == tuple(index) else section
        for section in index.sections
    )
    return names, CheckpointIndex(infos, index.metadata, sections, index.unreadable)


def _without_prefix(path: Path, names: Collection[str], prefix: str) -> dict[str, str]:
    """Each name without the prefix → the name. Raises ArgumentError: see :func:`open_checkpoint`."""
    if not isinstance(prefix, str):
        raise ArgumentTypeError(f"strip_prefix must be a str, not {type(prefix).__name__}")
    short = {name.removeprefix(prefix): name for name in names}
    if len(short) < len(names):
        raise ArgumentError(f"{path}: without the prefix {prefix!r} two tensors would have the same name")
    if not any(name.startswith(prefix) for name in names):
        first = next(iter(names), None)
        raise ArgumentError(f"{path}: no name begins with strip_prefix={prefix!r}; the first one is {first!r}")
    return short


def open_checkpoint(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    strip_prefix: str | None = None,
    verify: bool = False,
    trust_pickle: bool = False,
) -> Checkpoint:
    """Open a checkpoint of any format as a lazy mapping of names to arrays.

    The format is told by the content of the file, not by its suffix. Nothing from the file is executed.

    Args:
        path: a checkpoint, the index of a sharded one (``*.index.json``), or a folder of ``.npy`` files.
        key: which part of a torch file to read, inner levels joined by dots (``"model"``, ``"optimizer.state.0"``);
            ``""`` for everything in it. By default its one model, under names of its own, or all its models under
            their full names.
        strip_prefix: a prefix (``"module."``) to take off every name that has it.
        verify: check the checksums that the file carries, which reads all of it.
        trust_pickle: let the framework unpickle the file, which **runs whatever code the file names**.

    Raises:
        CheckpointNotFoundError: there is nothing of that name.
        CheckpointError: the file is of no known format, or damaged.
        UnsafeCheckpointError: reading the file would mean to do something on its behalf.
        NoParametersError: there is no model in it, and no `key`; or no tensor at `key`.
        UnsupportedDtypeError: what was chosen holds tensors that have no dense array; the message lists them.
        ArgumentError: `strip_prefix` fits no name, or makes two names equal; `key` is given for a format that has no
            nested state dicts, or leads nowhere.
    """
    place = path_of(path)
    with reading(place):
        return _opened(place, OpenOptions(key=key, verify=verify, trust_pickle=trust_pickle), strip_prefix)


def open_lazily(path: str | os.PathLike[str], **options: Any) -> LazyTensors:
    """As :func:`open_checkpoint`, but no file of a folder of ``.npy`` files is opened: see :class:`NpyFiles`."""
    place = path_of(path)
    with reading(place):
        return _opened_lazily(place, options)


def _opened_lazily(place: Path, options: dict[str, Any]) -> LazyTensors:
    if not place.is_dir() or any(place.glob(f"*{INDEX_SUFFIX}")) or options.get("key"):
        return open_checkpoint(place, **options)
    files, prefix = npy_folder(place), options.get("strip_prefix")
    if not files:
        return open_checkpoint(place, **options)  # it says what is missing
    return files.renamed(_without_prefix(place, files, prefix)) if prefix else files


def _opened(path: Path, options: OpenOptions, strip_prefix: str | None) -> Checkpoint:
    reader, files = open_file(path, options)
    return Checkpoint(path, reader, options, strip_prefix, files)


def _reopened(path: Path, options: OpenOptions, strip_prefix: str | None, files: Files) -> Checkpoint:
    """The checkpoint that was pickled, opened again. Raises CheckpointError when a file of it is another one now."""
    try:
        checkpoint = _opened(path, options, strip_prefix)
    except CheckpointNotFoundError:
        raise
    except TsError:  # perhaps because it is another file
        there = [name for name, _ in files if Path(name).exists()]
        _require_same(files, {name: (0, *identity_of(Path(name).stat())) for name in there})
        raise
    _require_same(files, dict(checkpoint._files))
    return checkpoint


def _require_same(files: Files, now: Mapping[str, tuple[int, ...]]) -> None:
    for name, before in files:
        # The first number tells devices apart, which other machines number otherwise.
        if now.get(name, ())[1:] != before[1:]:
            raise CheckpointError(f"{name}: the file was replaced since it was opened; open it again")


def write_checkpoint(
    tensors: LazyTensors,
    path: Path,
    *,
    format: str | None = None,
    max_shard_size: int | str | None = None,
    metadata: Mapping[str, object] | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[str, ...]:
    """What :func:`save_checkpoint` and ``convert`` do; answers the names of the metadata that had to be dropped.

    Args:
        tensors: what to write.
        path: where to.
        format: as in :func:`save_checkpoint`.
        max_shard_size: as in :func:`save_checkpoint`.
        metadata: as in :func:`save_checkpoint`.
        progress: called after each tensor with its size in bytes.
    """
    chosen = format_of(path, format)
    if path.name.endswith(INDEX_SUFFIX):
        raise ArgumentError(f"{path}: this is what the index of shards is called: name the checkpoint, without it")
    index = CheckpointIndex(tensors.index.tensors, {**tensors.metadata, **(metadata or {})})
    require_shapes(index)
    pieces = [index]
    if max_shard_size is not None:
        if not chosen.shardable:
            can = ", ".join(name for name, format in known_formats().items() if format.shardable)
            raise ArgumentError(f"max_shard_size: a {chosen.name} checkpoint is one file; only {can} can be split")
        pieces = split(index, parse_size(max_shard_size))
    require_space(path, sum(info.nbytes for info in index.values()) + _OVERHEAD * len(index))
    if len(pieces) > 1:
        return _write_shards(tensors, path, chosen, pieces, progress)
    suffix = chosen.suffix_of(path)
    with journal(path, suffix) as note, replacing(path, replaced=lambda: standing(path, suffix)) as (temporary,):
        dropped = _write_file(tensors, temporary, chosen, index, progress)
        note(standing(path, suffix)[1:])
    return dropped


def _write_shards(
    tensors: LazyTensors,
    path: Path,
    format: Format,
    pieces: Sequence[CheckpointIndex],
    progress: Callable[[int], object] | None,
) -> tuple[str, ...]:
    """The index holds the metadata; so do the shards where they stay what other programs expect of a shard."""
    suffix, metadata = format.suffix_of(path), pieces[0].metadata
    held = index_metadata(metadata)
    with journal(path, suffix) as note:
        paths = [*free_shard_paths(path, len(pieces), suffix), index_path(path)]
        with replacing(*paths, replaced=lambda: standing(path, suffix)) as temporaries:
            dropped = set(metadata)
            for temporary, piece in zip(temporaries, pieces, strict=False):  # the index has no piece
                own = CheckpointIndex(piece.tensors) if format.nested else piece
                not_there = _write_file(tensors, temporary, format, own, progress)
                dropped &= dropped if format.nested else set(not_there)
            temporaries[-1].write_bytes(index_bytes(list(zip(paths, pieces, strict=False)), held))
            note([*paths[:-1], *standing(path, suffix)])
    return tuple(name for name in metadata if name in dropped and name not in held)


def _write_file(
    tensors: LazyTensors, path: Path, format: Format, index: CheckpointIndex, progress: Callable[[int], object] | None
) -> tuple[str, ...]:
    assert format.create is not None
    writer = format.create(path, index)
    try:
        for name, info in index.items():
            array = tensors.read(name)
            if array.shape != info.shape or dtype_name(array.dtype) != dtype_name(info.dtype):
                raise CheckpointError(
                    f"{name}: announced as {info.dtype} {info.shape}, and turned out to be {array.dtype} {array.shape}"
                )
            writer.write(name, array)
            if progress is not None:
                progress(info.nbytes)
        writer.finish()
    finally:
        writer.close()
    return tuple(getattr(writer, "dropped", ()))
