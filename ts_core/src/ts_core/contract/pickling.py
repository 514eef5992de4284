"""A pickle that is written piece by piece: the twin of :mod:`ts_core.contract.pickles`, which reads."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.files import OutputFile, raw_blocks

Array = np.ndarray[Any, np.dtype[Any]]

# What `numpy.ndarray.__reduce__` answers: a function, and its arguments. NumPy 1 and 2 find it under this name.
_EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


class PickledDict:
    """A pickle of one dictionary, of which no more than a block is ever in memory. ``pickle.load`` reads it.

    The instructions are described in the standard library's ``pickletools``.

    Args:
        path: of the file that is written.
    """

    def __init__(self, path: Path) -> None:
        self._file = OutputFile(path)
        self._file.write(b"\x80\x04}")

    def put(self, key: str, value: object) -> None:
        """An entry that is no large array: whatever the standard library can pickle."""
        self._file.write(_instructions(key) + _instructions(value) + b"s")

    def put_array(self, key: str, array: Array) -> None:
        """An array, in C order and little-endian.

        Args:
            key: its key in the dictionary.
            array: of a dtype of NumPy's own, in any layout and byte order.
        """
        state = _instructions(1) + _instructions(array.shape) + _instructions(array.dtype.newbyteorder("<"))
        size = array.nbytes.to_bytes(8, "little")
        self._file.write(_instructions(key) + _EMPTY_ARRAY + b"(" + state + b"\x89\x8e" + size)
        for block in raw_blocks(array):
            self._file.write(block)
        self._file.write(b"tbs")

    def finish(self) -> None:
        """The end of the pickle; without it nothing can be read."""
        self._file.write(b".")
        self._file.finish()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _instructions(value: object) -> bytes:
    """What puts a value on the stack. A piece refers to nothing in the memo but what it has put there itself."""
    return pickle.dumps(value, 3)[2:-1]
