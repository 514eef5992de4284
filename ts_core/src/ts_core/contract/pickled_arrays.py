"""NumPy's arrays, dtypes and scalars as pickles describe them: built from bytes, without running NumPy's own functions.

Sources: ``numpy/core/src/multiarray/methods.c`` (``array_reduce``), ``numpy/core/numeric.py`` (``_frombuffer``),
``numpy/core/_internal.py``, ``numpy/ma/core.py`` (``MaskedArray.__reduce__``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ts_core.contract.dtypes import dtype_of, is_native
from ts_core.contract.files import count_elements
from ts_core.contract.pickled_values import Builder, Global, MalformedError, Stub, brief, integers
from ts_core.errors import ArgumentError

Array = np.ndarray[Any, np.dtype[Any]]

_NUMBERS = "biufc"
_TEXT = "SU"


class NumpyDtype:
    """The dtype of a NumPy array in a pickle, which tells its byte order afterwards.

    Attributes:
        dtype: None when its elements are neither numbers nor text.
        words: what the pickle calls it.
        structured: whether an element has fields, or is so many bytes of something.
    """

    def __init__(self, name: object = None, *_: object) -> None:
        # The other arguments say whether to align and to copy, and mean something for structured dtypes only.
        extended = isinstance(name, Global) and name.module.partition(".")[0] == "ml_dtypes"
        spelled = name.name if isinstance(name, Global) else name
        self.words = brief(spelled)
        self.structured = isinstance(spelled, str) and spelled.lstrip("|<>=").startswith("V")
        self.dtype: np.dtype[Any] | None = None
        if not isinstance(spelled, str) or len(spelled) > 40:
            return
        try:
            dtype = dtype_of(spelled) if extended else np.dtype(spelled)
        except (TypeError, ValueError, SyntaxError, ArgumentError):
            return
        if extended or (dtype.kind in _NUMBERS + _TEXT and dtype.names is None and dtype.subdtype is None):
            self.dtype = dtype

    def set_state(self, state: object) -> None:
        """Take what ``numpy.dtype.__reduce__`` wrote: version, byte order, subarray, names, fields, size, ..."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            self.dtype, self.structured = None, True
        elif self.dtype is not None and self.dtype.kind in _TEXT:
            size = state[5] if len(state) > 5 else -1
            if type(size) is int and 0 < size < 1 << 31:
                width = 4 if self.dtype.kind == "U" else 1
                self.dtype = np.dtype(f"{self.dtype.kind}{size // width}")
        if self.dtype is not None and is_native(self.dtype) and isinstance(state, tuple) and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class NumpyArray:
    """A NumPy array in a pickle, which gets its content afterwards.

    Attributes:
        array: read-only; a view of the file where the pickle keeps long strings of bytes as they are. None as long as
            it has no content, and of an array that holds neither numbers nor text.
        objects: the content of an array of Python objects.
        reason: why there is no `array`.
        loses_numbers: whether there are, or may be, numbers in it although there is no `array`: it has a mask, a unit,
            or fields.
    """

    def __init__(self, *_: object) -> None:
        # What it is made with (its class, an empty shape, a dtype) is what the content replaces.
        self.array: Array | None = None
        self.objects: object = None
        self.reason = "a NumPy array without content"
        self.loses_numbers = False

    @property
    def holds_numbers(self) -> bool:
        """Whether it is an array, and not of text."""
        return self.array is not None and self.array.dtype.kind not in _TEXT

    def set_state(self, state: object) -> None:
        """Take the content that ``ndarray.__reduce__`` wrote: version, shape, dtype, Fortran order, bytes."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            # That of a subclass, which may say what the numbers mean: a mask, a unit.
            self.array, self.objects, self.reason = None, state, "a NumPy array of a class of its own"
            self.loses_numbers = True
            return
        shape, dtype, fortran, content = state[-4:]
        self.fill(content, dtype, shape, "F" if fortran else "C")

    def fill(self, content: object, dtype: object, shape: object, order: object, axes: object = None) -> None:
        """Take the content: its elements lie in the file in this order, or in C order of the axes in another one."""
        if not isinstance(dtype, NumpyDtype):
            raise MalformedError("a NumPy array without a dtype")
        if dtype.dtype is None or isinstance(content, list):
            what = "whose elements have fields" if dtype.structured else "which are no numbers"
            self.objects, self.reason = content, f"a NumPy array of dtype {dtype.words}, {what}"
            self.loses_numbers = dtype.structured
            return
        if order not in ("C", "F", "A", "K") or (order == "K" and axes is None):
            raise MalformedError(f"a NumPy array in the order {brief(order)}")
        content = as_bytes(content)
        sizes = integers(shape)
        if count_elements(sizes) * dtype.dtype.itemsize != len(content):
            raise MalformedError(f"{len(content)} bytes are no NumPy array of shape {sizes} and dtype {dtype.dtype}")
        flat = np.frombuffer(content, dtype.dtype) if len(content) else np.empty(0, dtype.dtype)
        if order == "K":
            places = integers(axes)
            if sorted(places) != list(range(len(sizes))):
                raise MalformedError(f"axes of a NumPy array in the order {places}")
            self.array = flat.reshape(sizes).transpose(places)
        else:
            self.array = flat.reshape(sizes, order="F" if order == "F" else "C")
        self.array.flags.writeable = False


def as_bytes(content: object) -> bytes | bytearray | memoryview:
    """Bytes; Python 2 wrote them as text, which is read so that they can be had again."""
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape")
    if not isinstance(content, bytes | bytearray | memoryview):
        raise MalformedError("a NumPy array or number without its bytes")
    return content


def _from_buffer(content: object, dtype: object, shape: object, order: object = "C", axes: object = None) -> NumpyArray:
    """How protocol 5 writes an array."""
    made = NumpyArray()
    made.fill(content, dtype, shape, order, axes)
    return made


def _scalar(dtype: object, content: object = b"") -> object:
    if not isinstance(dtype, NumpyDtype):
        raise MalformedError("a NumPy scalar without a dtype")
    if dtype.dtype is None:
        return Stub(Global("numpy", dtype.words), (content,))
    content = bytes(as_bytes(content))
    if len(content) != dtype.dtype.itemsize:
        raise MalformedError(f"a NumPy scalar of dtype {dtype.dtype} in {len(content)} bytes")
    if dtype.dtype.kind == "U":  # NumPy trusts that the characters are some
        codec = "utf-32-be" if dtype.dtype.byteorder == ">" else "utf-32-le"
        return content.decode(codec, "replace").rstrip("\0")
    return np.frombuffer(content, dtype.dtype)[0] if content else np.zeros((), dtype.dtype)[()]


class _Masked(NumpyArray):
    """A masked array: its numbers without its mask would be others."""

    def set_state(self, state: object) -> None:
        """Keep it as it is."""
        self.objects, self.reason = state, "a NumPy array with a mask"
        self.loses_numbers = True


_FUNCTIONS: Mapping[str, Builder] = {
    "multiarray._reconstruct": NumpyArray,
    "multiarray.scalar": _scalar,
    "_multiarray_umath._reconstruct": NumpyArray,
    "_multiarray_umath.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
}
#: What is built for the names of NumPy, under which its versions have written them.
NUMPY_BUILDERS: Mapping[Global, Builder] = {
    Global("numpy", "dtype"): NumpyDtype,
    Global("numpy.ma.core", "_mareconstruct"): _Masked,
    **{
        Global(f"{package}.{name.partition('.')[0]}", name.partition(".")[2]): builder
        for package in ("numpy.core", "numpy._core")
        for name, builder in _FUNCTIONS.items()
    },
}
