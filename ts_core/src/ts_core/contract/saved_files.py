"""Numbered ``.npy`` files, written whole and never over another, by any number of threads and processes at once."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ts_core.contract.naming import print_line
from ts_core.errors import CaptureWarning, SaveError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

# One counter for the whole process: the numbers tell the order of the calls, whatever the names. `next` is atomic.
_NUMBERS = itertools.count()

_BLOCK = 1 << 20  # elements that are cast at a time; bytes that are written at once
_FROM_A_LIBRARY = 2  # what dtype.isbuiltin says of the dtypes of ml_dtypes
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def emit(name: str, array: Array, output_mode: str) -> None:
    """Put out one array under its name: into a numbered file, or as text."""
    if output_mode == "npy":
        write_numbered(name, array)
    else:
        print(f"{print_line(name)}\n{array}", flush=True)


def no_gradient_warning(base: str) -> CaptureWarning:
    """What to warn of when a gradient was asked for that will not come."""
    return CaptureWarning(f"ts.save_grad({base!r}, …): this tensor needs no gradient, so none will be saved")


def write_numbered(name: str, array: Array) -> str:
    """Write an array as ``<name>_<number>.npy`` with the next number that is free; folders are created.

    The data goes into a temporary file of the same folder, which is then linked to its final name. A link fails when
    the name exists, so two writers never get the same one. There is no fsync: after a crash of the machine (not of
    the process) the newest files may be lost.

    Returns:
        The path of the file.

    Raises:
        SaveError: the file could not be written; it does not exist then.
    """
    folder, stem = os.path.split(name)
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        with _create(temporary, folder) as file:
            _write(file, array)
        return _publish(temporary, name)
    except (OSError, ValueError) as problem:  # the latter: a NUL in the name, or half of a character
        reason = getattr(problem, "strerror", None) or str(problem)
        path = os.path.join(folder, f"{stem}_<number>.npy")
        raise SaveError(getattr(problem, "errno", None) or errno.EINVAL, f"cannot save: {reason}", path) from problem
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.unlink(temporary)


def _create(path: str, folder: str) -> BinaryIO:
    try:
        return open(path, "xb")
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        return open(path, "xb")


def _write(file: BinaryIO, array: Array) -> None:
    """The array in NumPy's format; the dtypes that the format cannot name (bfloat16, float8) as float32, in blocks."""
    if array.dtype.isbuiltin == _FROM_A_LIBRARY:
        header = {"descr": "<f4", "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        flat = array.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            file.write(flat[start : start + _BLOCK].astype("<f4").data)
    elif array.flags.c_contiguous and array.nbytes <= _BLOCK:  # cheaper than NumPy's way, which is meant for large ones
        header = np.lib.format.header_data_from_array_1_0(array)  # type: ignore[no-untyped-call]
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        file.write(array.data)
    else:
        np.lib.format.write_array(file, array, allow_pickle=False)  # type: ignore[no-untyped-call]


def _publish(temporary: str, name: str) -> str:
    for number in _NUMBERS:
        path = f"{name}_{number}.npy"
        try:
            _link(temporary, path)
        except FileExistsError:
            continue
        return path
    raise AssertionError("the numbers do not end")


def _link(temporary: str, path: str) -> None:
    try:
        os.link(temporary, path)
    except OSError as problem:
        if problem.errno not in _NO_HARD_LINKS:
            raise
        # A file system without hard links (exFAT, some network mounts): take the name first, then move onto it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(path)
            raise
