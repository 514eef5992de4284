"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ts_core.errors import CheckpointWriteError

_LINKS = 40  # that a path may lead through


@contextmanager
def replacing(*paths: Path, replaced: Callable[[], Sequence[Path]] = tuple) -> Iterator[list[Path]]:
    """Write files under temporary names in the same folders; they take their real names together, at the end.

    Files that stood there before are replaced, read-only ones too, and are untouched if anything fails; the new ones
    get their permissions. Of several files the last one takes its name last, and then those go that `replaced` names.

    Args:
        paths: what the files shall be called. A symbolic link is followed.
        replaced: what else the new files take the place of, asked when they begin and when they are complete. They
            are removed in this order; the last of `paths` is younger than any of them.

    Yields:
        The temporary path of each.

    Raises:
        CheckpointWriteError: a file cannot be written; the temporary files are gone.
    """
    temporaries: list[Path] = []
    with _explained(paths[-1]):
        finals = [_final(path) for path in paths]
        others = [status for status in map(_status, replaced()) if status is not None]
        before = [_status(final) or next(iter(others), None) for final in finals]
        try:
            for final, status in zip(finals, before, strict=True):
                # Short names of our own, as a long final name may leave no room for more letters.
                temporaries.append(final.with_name(f".ts-{secrets.token_hex(8)}.tmp"))
                if status is not None:
                    _begin(temporaries[-1], status)
            yield list(temporaries)
            gone = [path for path in replaced() if path not in paths]
            for temporary, status in zip(temporaries, before, strict=True):
                _sync(temporary)
                if status is not None:
                    temporary.chmod(stat.S_IMODE(status.st_mode))
            _make_younger(temporaries[-1], [*finals, *gone])
            _rename(temporaries, finals)
            for folder in {final.parent for final in finals}:
                _sync(folder)
            _remove(gone)
        finally:
            _remove(temporaries)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; into what is no regular file (a pipe, a device) the text is written.

    Half of a character (a lone surrogate) is spelled as JSON spells it.

    Raises:
        CheckpointWriteError: it cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    with _explained(path):
        descriptor, status = _own_descriptor(path), _status(path)
        if descriptor is not None:  # to open it anew would begin at its beginning
            sys.stdout.flush()
            with os.fdopen(os.dup(descriptor), "wb") as stream:
                stream.write(data)
        elif status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            path.write_bytes(data)
        else:
            with replacing(path) as (temporary,):
                temporary.write_bytes(data)


def require_space(path: Path, nbytes: int) -> None:
    """Refuse to begin a file that cannot fit.

    Raises:
        CheckpointWriteError: the folder is missing, or its file system has less room than that.
    """
    with _explained(path):
        free = shutil.disk_usage(_final(path).parent).free
        if free < nbytes:
            problem = OSError(errno.ENOSPC, f"needs {nbytes / 1e9:.3f} GB, and {free / 1e9:.3f} GB are free")
            raise problem


def make_folder(path: Path) -> None:
    """Make a folder, and those that it is in. Raises CheckpointWriteError when there can be none."""
    with _explained(path):
        resolved(path).mkdir(parents=True, exist_ok=True)


def resolved(path: Path) -> Path:
    """Where a file really is to be written: symbolic links are followed.

    Raises:
        CheckpointWriteError: no file can have that name, or its links lead in a circle.
    """
    with _explained(path):
        try:
            return path.resolve()
        except (RuntimeError, ValueError) as problem:  # a circle of links; a NUL, or half of a character
            raise OSError(errno.EINVAL, str(problem)) from problem


def _final(path: Path) -> Path:
    """Where a path leads: to a regular file, or to nothing yet. Raises OSError for anything else."""
    final = resolved(path)
    status = _status(final)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if status is not None and (not stat.S_ISREG(status.st_mode) or _own_descriptor(path) is not None):
        raise OSError(errno.EINVAL, "it is a pipe or a device: name a regular file, or one that is yet to be")
    return final


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except ValueError as problem:  # a null byte
        raise OSError(errno.EINVAL, str(problem)) from problem


def _own_descriptor(path: Path) -> int | None:
    """The open file of this process that a path such as ``/dev/stdout`` stands for."""
    own = Path("/proc/self/fd").resolve()
    for _ in range(_LINKS):
        if path.name.isdecimal() and path.parent.resolve() == own:
            return int(path.name)
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return None


def _begin(temporary: Path, status: os.stat_result) -> None:
    """Make an empty file that nobody may read who may not read the one that it will replace."""
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    made = temporary.stat()
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid) and hasattr(os, "chown"):
        with suppress(OSError):  # only the administrator may give files away
            os.chown(temporary, status.st_uid, status.st_gid)
    temporary.chmod(stat.S_IMODE(status.st_mode) | 0o600)


def _make_younger(path: Path, others: Sequence[Path]) -> None:
    """The clock of a file system may tick too slowly, or have been set back, to tell what was written last."""
    latest = max((status.st_mtime_ns for status in map(_status, others) if status is not None), default=0)
    if path.stat().st_mtime_ns <= latest:
        os.utime(path, ns=(latest + 1, latest + 1))


def _rename(temporaries: Sequence[Path], finals: Sequence[Path]) -> None:
    """Give each file its name; when one fails, those are gone again that stand in nobody's place."""
    renamed: list[Path] = []
    try:
        for temporary, final in zip(temporaries, finals, strict=True):
            if renamed and final == finals[-1]:  # whoever sees the last one, even after a crash, finds the others
                _sync(final.parent)
            is_new = _status(final) is None
            temporary.replace(final)
            if is_new:
                renamed.append(final)
    except BaseException:
        _remove(renamed)
        raise


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointWriteError:
        raise
    except OSError as problem:
        reason = problem.strerror or str(problem)
        if problem.errno == errno.ENOENT and not os.path.isdir(path.parent):  # noqa: PTH112 - it does not fail
            reason = f"there is no folder {path.absolute().parent}"
        raise CheckpointWriteError(problem.errno or errno.EIO, f"{path}: cannot be written: {reason}") from problem


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
