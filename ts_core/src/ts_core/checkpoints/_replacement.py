"""What a new checkpoint takes the place of: the file, or the index and shards, of the same name.

A checkpoint is old or new for every reader at every instant. One file is replaced by a rename. Of shards, none is ever
written over: where one of the usual name is there, the new ones get names of their own. The index is renamed last,
which is the moment of the change, and only then the files of the old checkpoint go. What was written last is younger,
and so a reader prefers it where a process was killed between the rename and the removal.

A journal beside them lists, as long as a checkpoint is being written, the files that may be left behind: the new shards
and the old ones. Whoever writes the checkpoint next removes those that no index needs. A conversion that is to be
resumed would find here under which names its shards were to appear.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ts_core.checkpoints._sharded import index_path, listed_shards, shard_paths, stem_and_suffix

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def standing(path: Path, suffix: str) -> list[Path]:
    """The files of the checkpoint that has this name now, in the order in which they may go.

    Of the index's shards those alone that are called as shards of this checkpoint are: an index may name any file.
    """
    index = index_path(path)
    shards = [path.with_name(name) for name in listed_shards(index) if _is_shard(path, suffix, name)]
    return [one for one in (index, *shards, path) if os.path.lexists(one)]


def free_shard_paths(path: Path, count: int, suffix: str) -> list[Path]:
    """The usual names of shards, ``model-00001-of-00003.safetensors``, unless one is taken: then names of their own."""
    usual = shard_paths(path, count, suffix)
    if not any(map(os.path.lexists, (index_path(path), *usual))):
        return usual
    return shard_paths(path, count, suffix, f"-{secrets.token_hex(4)}")


@contextmanager
def journal(path: Path, suffix: str) -> Iterator[Callable[[Sequence[Path]], None]]:
    """A journal of a checkpoint that is about to be written; what an earlier one lists and nobody needs is removed.

    Two processes that write the same checkpoint at once have one journal between them: the first one's.

    Yields:
        Called with what may be left behind, before it can be; without it there will be no journal.
    """
    file = path.with_name(f".ts-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.journal")
    streams: list[IO[str]] = []

    def note(paths: Sequence[Path]) -> None:
        stream = streams[0] if streams else _opened(file) if paths else None
        if stream is not None:
            streams[:] = [stream]
            stream.truncate(0)
            json.dump([path.name for path in paths], stream)
            stream.flush()
            os.fsync(stream.fileno())

    try:
        if os.path.lexists(file) and (earlier := _opened(file)) is not None:
            streams.append(earlier)
            _clear(path, suffix, earlier)
        yield note
    finally:
        for stream in streams:
            with stream, suppress(OSError):
                file.unlink()


def _opened(file: Path) -> IO[str] | None:
    """The journal, ours alone as long as it is open; None where it is somebody else's, or there can be none."""
    try:
        # Whoever may put links into the folder must not choose what is written over.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        stream = os.fdopen(os.open(file, flags, 0o600), "r+", encoding="utf-8")
    except OSError:
        return None
    if not _locked(stream):
        stream.close()
        return None
    return stream


def _locked(stream: IO[str]) -> bool:
    """Whether the journal is ours alone, for as long as it is open."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _clear(path: Path, suffix: str, stream: IO[str]) -> None:
    stream.seek(0)
    try:
        names = json.loads(stream.read() or "[]")
    except ValueError:  # cut off: then nothing had been made yet
        return
    needed = set(listed_shards(index_path(path)))
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str) and name not in needed and _is_shard(path, suffix, name):
            with suppress(OSError):
                path.with_name(name).unlink()


def _is_shard(path: Path, suffix: str, name: str) -> bool:
    stem, end = stem_and_suffix(path, suffix)
    return re.fullmatch(re.escape(stem) + r"(-[0-9a-f]{8})?-\d{5,}-of-\d{5,}" + re.escape(end), name) is not None
