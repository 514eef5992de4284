"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ts_core.errors import CheckpointWriteError


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Write files under temporary names in the same folders; they take their real names together, at the end.

    Files that stood there before are replaced, read-only ones too, and are untouched if anything fails. Of several
    files the last one takes its name last.

    Args:
        paths: what the files shall be called. A symbolic link is followed.

    Yields:
        The temporary path of each.

    Raises:
        CheckpointWriteError: a file cannot be written; the temporary files are gone.
    """
    finals = [resolved(path) for path in paths]
    # Short names of our own, as a long final name may leave no room for more letters.
    temporaries = [final.with_name(f".ts-{secrets.token_hex(8)}.tmp") for final in finals]
    try:
        with _explained(paths[-1]):
            for final in finals:
                if final.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            yield temporaries
            for temporary in temporaries:
                _sync(temporary)
            for temporary, final in zip(temporaries, finals, strict=True):
                temporary.replace(final)
            for folder in {final.parent for final in finals}:
                _sync(folder)
    finally:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink()


def require_space(path: Path, nbytes: int) -> None:
    """Refuse to begin a file that cannot fit.

    Raises:
        CheckpointWriteError: the folder is missing, or its file system has less room than that.
    """
    with _explained(path):
        free = shutil.disk_usage(resolved(path).parent).free
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
