"""What stands for the objects of a pickle that is not run: names, stubs, and builders of plain values and arrays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ts_core.contract.dtypes import dtype_of, is_native
from ts_core.contract.files import count_elements
from ts_core.errors import ArgumentError, Told

Array = np.ndarray[Any, np.dtype[Any]]

_MAX_KEY_DEPTH = 4

Builder = Callable[..., object]


class MalformedError(Told, ValueError):
    """A pickle, or what it describes, is damaged or means something that no checkpoint needs."""


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function in a pickle. It is never imported, and cannot be called."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Stub:
    """What stands for an object of any class that has no builder: it keeps what the pickle gave it, and does nothing.

    Attributes:
        cls: the name of its class, or whatever the pickle "called".
        args: what it was called with.
        attributes: its attributes, if its state was a dictionary.
        state: its state otherwise.
        items: what a list would have received.
        entries: what a dictionary would have received.
    """

    __slots__ = ("args", "attributes", "cls", "entries", "items", "state")

    def __init__(self, cls: object, args: tuple[object, ...] = ()) -> None:
        self.cls = cls
        self.args = args
        self.attributes: dict[str, object] = {}
        self.state: object = None
        self.items: list[object] = []
        self.entries: dict[object, object] = {}

    def append(self, item: object) -> None:
        """Keep an item."""
        self.items.append(item)

    def extend(self, items: Iterable[object]) -> None:
        """Keep items."""
        self.items.extend(items)

    def __setitem__(self, key: object, value: object) -> None:
        self.entries[key] = value

    def __repr__(self) -> str:
        return f"<{self.cls if isinstance(self.cls, Global) else 'object'}, not run>"


# ---------------------------------------------------------------------------------------------------------------------
# Builders: what is made for the names that are known. Their arguments come from the file: they check everything.


def integers(sizes: object) -> tuple[int, ...]:
    """A tuple of numbers, which the caller checks: a shape or stride."""
    if not isinstance(sizes, tuple | list):
        raise MalformedError("the shape or stride of a tensor is no tuple")
    return tuple(sizes)


def _ordered_dict(pairs: object = ()) -> OrderedDict[object, object]:
    return OrderedDict((checked_key(key), value) for key, value in _pairs(pairs))


def _plain_dict(pairs: object = ()) -> dict[object, object]:
    return {checked_key(key): value for key, value in _pairs(pairs)}


def _pairs(pairs: object) -> list[tuple[object, object]]:
    if isinstance(pairs, dict):
        return list(pairs.items())
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise MalformedError("a dictionary from something else than pairs")
    return [(key, value) for key, value in pairs]


def _set(items: object = ()) -> set[object]:
    if not isinstance(items, list | tuple):
        raise MalformedError("a set from something else than a list")
    return {checked_key(item) for item in items}


def _complex(real: object, imaginary: object) -> complex:
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise MalformedError("a complex number from something else than numbers")
    return complex(real, imaginary)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How protocols before 3 write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise MalformedError("bytes in an unknown encoding")
    return text.encode("latin1")


class NumpyDtype:
    """The dtype of a NumPy array in a pickle, which tells its byte order afterwards."""

    def __init__(self, name: object, *_: object) -> None:
        extended = isinstance(name, Global) and name.module == "ml_dtypes"
        spelled = name.name if isinstance(name, Global) and extended else name
        if not isinstance(spelled, str):
            raise MalformedError("a NumPy dtype without a name")
        try:
            self.dtype = dtype_of(spelled) if extended else np.dtype(spelled)
        except (TypeError, ArgumentError) as problem:
            raise MalformedError(f"unknown NumPy dtype {spelled[:40]!r}") from problem
        if not extended and (self.dtype.kind not in "biufcSU" or self.dtype.itemsize == 0):
            raise MalformedError(f"a NumPy dtype {spelled[:40]!r}, which holds no numbers")

    def set_state(self, state: object) -> None:
        """Take the byte order from what ``numpy.dtype.__reduce__`` wrote."""
        if is_native(self.dtype) and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.dtype = self.dtype.newbyteorder(state[1])


class NumpyArray:
    """A NumPy array in a pickle, which gets its content afterwards.

    Attributes:
        array: read-only; a view of the file where the pickle keeps long strings of bytes as they are.
    """

    def __init__(self, *_: object) -> None:
        self.array: Array | None = None

    def set_state(self, state: object) -> None:
        """Take the content that ``ndarray.__reduce__`` wrote: version, shape, dtype, Fortran order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise MalformedError("the state of a NumPy array is not a tuple of 5")
        _, shape, dtype, fortran, content = state
        self.fill(content, dtype, shape, "F" if fortran else "C")

    def fill(self, content: object, dtype: object, shape: object, order: object) -> None:
        """Take the content."""
        if not isinstance(dtype, NumpyDtype) or not isinstance(content, bytes | bytearray | memoryview):
            raise MalformedError("a NumPy array without numbers")
        sizes = integers(shape)
        if count_elements(sizes) * dtype.dtype.itemsize != len(content):
            raise MalformedError(f"{len(content)} bytes are no NumPy array of shape {sizes} and dtype {dtype.dtype}")
        self.array = np.frombuffer(content, dtype.dtype).reshape(sizes, order="F" if order == "F" else "C")
        self.array.flags.writeable = False


def _from_buffer(content: object, dtype: object, shape: object, order: object = "C", *_: object) -> NumpyArray:
    """How protocol 5 writes an array."""
    made = NumpyArray()
    made.fill(content, dtype, shape, order)
    return made


def _sequence(make: Callable[[Iterable[object]], object], items: object = ()) -> object:
    if not isinstance(items, list | tuple):
        raise MalformedError("a list from something else than a list")
    return make(items)


def _numpy_scalar(dtype: object, content: object) -> object:
    if not isinstance(dtype, NumpyDtype) or not isinstance(content, bytes) or len(content) != dtype.dtype.itemsize:
        raise MalformedError("a NumPy scalar without a number")
    return np.frombuffer(content, dtype.dtype)[0]


_NUMPY: Mapping[str, Builder] = {
    "multiarray._reconstruct": NumpyArray,
    "multiarray.scalar": _numpy_scalar,
    "numeric._frombuffer": _from_buffer,
}
_BUILTINS: Mapping[str, Builder] = {
    **{"set": _set, "frozenset": _set, "dict": _plain_dict, "complex": _complex},
    **{"list": partial(_sequence, list), "tuple": partial(_sequence, tuple)},
}
#: What is built for the names of Python and NumPy. A format of another framework adds its own to these.
BUILDERS: Mapping[Global, Builder] = {
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("collections", "defaultdict"): lambda *_: {},
    Global("collections", "Counter"): _plain_dict,
    Global("_codecs", "encode"): _encode,
    Global("numpy", "dtype"): NumpyDtype,
    **{
        Global(f"{package}.{name.partition('.')[0]}", name.partition(".")[2]): builder
        for package in ("numpy.core", "numpy._core")
        for name, builder in _NUMPY.items()
    },
    **{Global(module, name): builder for module in ("builtins", "__builtin__") for name, builder in _BUILTINS.items()},
}
# These call what they are given first with the rest.
_CALLERS = frozenset(
    Global(module, name) for module in ("copyreg", "copy_reg") for name in ("_reconstructor", "__newobj__")
)


def construct(function: object, args: tuple[object, ...], builders: Mapping[Global, Builder]) -> object:
    """What a pickle gets when it "calls" something: the work of a builder, else a stub."""
    taken = 0
    while isinstance(function, Global) and function in _CALLERS and taken < len(args):
        function, taken = args[taken], taken + 1
    builder = builders.get(function) if isinstance(function, Global) else None
    return Stub(function, args[taken:]) if builder is None else builder(*args[taken:])


def checked_key(key: object, depth: int = _MAX_KEY_DEPTH) -> object:
    """A key of a dictionary, or item of a set: tuples inside tuples can be made to take forever to hash."""
    if isinstance(key, tuple):
        if depth == 0 or len(key) > 1000:
            raise MalformedError("a dictionary's key is a tuple of tuples of tuples, or very long")
        for part in key:
            checked_key(part, depth - 1)
    elif not isinstance(key, str | int | float | complex | bytes | None | Global | Stub | np.generic):
        raise MalformedError(f"a dictionary's key of type {type(key).__name__}")
    return key
