"""What the pickle in a torch file describes: storages, and tensors in them, which are checked before they exist."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.dtypes import DtypeTable, is_native
from ts_core.contract.files import count_elements
from ts_core.contract.pickles import Global, MalformedError, NumpyArray, brief, integer, integers

Array = np.ndarray[Any, np.dtype[Any]]

# torch's name of a dtype → ours
DTYPES = DtypeTable(
    {
        name: name
        for name in (
            *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
            *("float16", "float32", "float64", "bfloat16", "complex64", "complex128"),
            *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
        )
    }
)
# The class of a storage says what it holds, but for untyped ones: there the tensor says it.
STORAGES: Mapping[str, str | None] = {
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": None,
}
# What those of quantised tensors hold; of the last two several in one byte.
QUANTISED: Mapping[str, str] = {
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
    "QUInt4x2Storage": "uint8",
    "QUInt2x4Storage": "uint8",
}
PACKED = ("QUInt4x2Storage", "QUInt2x4Storage")
_LONGEST_KEY = 1 << 10


@dataclass(eq=False, slots=True)
class Storage:
    """A block of elements in the file.

    Attributes:
        key: its name in the file.
        dtype: of its elements; None for bytes, whose dtype the tensor states.
        nbytes: its size as the pickle states it; to be checked against the file.
        start: where in the file it begins, once that is known.
        source: the file, once the place in it is known.
        quantised: the class of a storage whose elements stand for others; empty for any other.
    """

    key: str
    dtype: np.dtype[Any] | None
    nbytes: int
    start: int = 0
    source: ByteSource | None = None
    quantised: str = ""


@dataclass(eq=False, slots=True)
class TensorRecord:
    """A tensor as the pickle describes it; :meth:`check` says whether the description is true.

    Attributes:
        storage: where its elements are.
        offset: of its first element, in elements.
        shape: its shape.
        stride: in elements.
        dtype: of its elements.
        conjugated: whether its values are the conjugates of what is stored.
        negated: whether its values are the negatives of what is stored.
        cast: to what its values are cast when it is loaded; None when they stay as they are stored.
        raw: whether it is meant to be what a quantised tensor stores.
        extra: attributes that somebody gave it.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    stored: np.dtype[Any]
    conjugated: bool = False
    negated: bool = False
    cast: np.dtype[Any] | None = None
    raw: bool = False
    extra: object = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return self.stored if self.cast is None else self.cast

    @property
    def nbytes(self) -> int:
        """The size of its values, repeated ones counted each time."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, most_bytes: int) -> None:
        """Refuse a tensor that reaches beyond its storage, or repeats elements to more than so many bytes."""
        count_elements(self.shape)
        if len(self.shape) != len(self.stride) or self.offset < 0 or any(step < 0 for step in self.stride):
            raise MalformedError(
                f"a tensor cannot have the shape {self.shape}, stride {self.stride}, offset {self.offset}"
            )
        if 0 in self.shape:
            return
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if (last + 1) * self.stored.itemsize > self.storage.nbytes:
            raise MalformedError(
                f"shape {self.shape}, stride {self.stride}, offset {self.offset} reach to element {last} of a storage "
                f"of {self.storage.nbytes} bytes"
            )
        if self.nbytes > max(most_bytes, self.storage.nbytes):
            raise MalformedError(
                f"the shape {self.shape} repeats a storage of {self.storage.nbytes} bytes beyond reason"
            )

    def set_state(self, state: object) -> None:
        """Take what follows a tensor in old files: nothing of interest, its data, or where its elements are."""
        if isinstance(state, tuple) and len(state) == 5 and isinstance(state[0], TensorRecord):  # of a Variable
            data = state[0]
            self.storage, self.offset, self.shape, self.stride = data.storage, data.offset, data.shape, data.stride
            self.stored, self.cast = data.stored, data.cast
            self.conjugated, self.negated = data.conjugated, data.negated
        elif isinstance(state, tuple) and len(state) == 4:
            fresh = dense(*state)
            self.storage, self.offset, self.shape, self.stride = fresh.storage, fresh.offset, fresh.shape, fresh.stride
            self.stored, self.cast, self.conjugated, self.negated = fresh.stored, None, False, False
        elif not (isinstance(state, tuple) and len(state) == 3):  # requires_grad, volatile, hooks
            self.extra = state

    def array(self, byte_order: str) -> Array:
        """Its values, read-only: a view of the storage, where these are what is stored.

        The record has been checked, and its storage found.

        Args:
            byte_order: ``"<"`` or ``">"``, of the file.
        """
        array = self._stored(byte_order)
        if not (self.conjugated or self.negated or self.cast is not None):
            return array
        if self.cast is not None:
            array = array.astype(self.cast)
        if self.conjugated:
            array = np.asarray(np.conjugate(array))
        if self.negated:
            array = np.asarray(np.negative(array))
        array.flags.writeable = False
        return array

    def _stored(self, byte_order: str) -> Array:
        if byte_order == "<" or self.stored.itemsize == 1:
            return self._view(self.stored)
        if is_native(self.stored):
            return self._view(self.stored.newbyteorder(">"))
        width = self.stored.itemsize  # bfloat16, which exists in the machine's byte order only
        return self._view(np.dtype(f">u{width}")).astype(f"<u{width}").view(self.stored)

    def _view(self, dtype: np.dtype[Any]) -> Array:
        if 0 in self.shape or self.storage.source is None:
            return np.empty(self.shape, dtype)
        # Along an axis of one element the step means nothing, and may be larger than an address.
        strides = tuple(
            step * dtype.itemsize if size > 1 else 0 for size, step in zip(self.shape, self.stride, strict=True)
        )
        return self.storage.source.array(self.storage.start + self.offset * dtype.itemsize, self.shape, dtype, strides)


@dataclass(eq=False, slots=True)
class HeldArray:
    """A NumPy array in the pickle itself.

    Attributes:
        held: the array.
        cast: to what its values are cast when it is loaded; None when they stay as they are.
        extra: attributes that somebody gave it.
    """

    held: Array
    cast: np.dtype[Any] | None = None
    extra: object = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.held.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return self.held.dtype if self.cast is None else self.cast

    @property
    def nbytes(self) -> int:
        """The size of its values."""
        return self.held.size * self.dtype.itemsize

    def check(self, _: int) -> None:
        """It has been checked when it was made."""

    def set_state(self, state: object) -> None:
        """Keep attributes that somebody gave it."""
        self.extra = state

    def array(self, _: str) -> Array:
        """Its values, read-only."""
        if self.cast is None:
            return self.held
        array = self.held.astype(self.cast)
        array.flags.writeable = False
        return array


@dataclass(eq=False, slots=True)
class UnreadableTensor:
    """A tensor that has no dense array: sparse, without data, of a class that is unknown.

    Attributes:
        reason: why.
        extra: the parts that it is made of, where they are in the file.
    """

    reason: str
    extra: object = None

    def set_state(self, state: object) -> None:
        """Keep what it is made of."""
        if self.extra is None:
            self.extra = state
        elif isinstance(state, dict) and state:
            self.extra = [self.extra, state]


@dataclass(eq=False, slots=True)
class QuantisedTensor:
    """A quantised tensor: its parts are tensors of names of their own.

    Attributes:
        parts: ``int_repr``, and what takes it to numbers: ``scale`` and ``zero_point``, or ``scales``, ``zero_points``
            and the ``axis`` that they belong to.
        extra: attributes that somebody gave it.
    """

    parts: Mapping[str, object]
    extra: object = None

    def set_state(self, state: object) -> None:
        """Keep attributes that somebody gave it."""
        self.extra = state


Leaf = TensorRecord | HeldArray | UnreadableTensor
Tensor = TensorRecord | HeldArray


def as_leaf(value: object) -> Leaf | None:
    """A value of the pickle as a tensor, if it is one, or is as good as one."""
    if isinstance(value, TensorRecord):
        if value.storage.quantised and not value.raw:
            return UnreadableTensor(f"in a {value.storage.quantised} without a scale")
        return value
    if isinstance(value, HeldArray | UnreadableTensor):
        return value
    if isinstance(value, Storage):
        dtype = value.dtype or np.dtype(np.uint8)
        return TensorRecord(value, 0, (value.nbytes // dtype.itemsize,), (1,), dtype)
    if isinstance(value, NumpyArray):
        if value.holds_numbers:
            assert value.array is not None
            return HeldArray(value.array)
        # An array of objects may hold tensors, and is looked into.
        return UnreadableTensor(value.reason) if value.loses_numbers else None
    if isinstance(value, np.ndarray) and value.dtype.names is None and value.dtype.kind in "biufcV":
        return HeldArray(value)
    return None


def storage_dtype(cls: object) -> np.dtype[Any] | None:
    """What the class of a storage holds; None for bytes, whose dtype the tensor states."""
    if isinstance(cls, Global) and cls.module.startswith("torch"):
        if cls.name in STORAGES:
            name = STORAGES[cls.name]
            return None if name is None else DTYPES.dtype(name)
        if cls.name in QUANTISED:
            return DTYPES.dtype(QUANTISED[cls.name])
    raise MalformedError(f"a storage of the type {brief(cls)}")


def quantised_class(cls: object) -> str:
    """The class of a storage, if it is one of quantised tensors; else nothing."""
    return cls.name if isinstance(cls, Global) and cls.name in QUANTISED else ""


def storage_key(key: object) -> str:
    """The name of a storage in the file."""
    if isinstance(key, bytes):
        key = key.decode("latin1")
    if type(key) is int and key.bit_length() <= 64:
        return str(key)
    if not isinstance(key, str) or len(key) > _LONGEST_KEY:
        raise MalformedError(f"a storage is called {brief(key)}")
    return key


def storage_nbytes(numel: object, dtype: np.dtype[Any] | None) -> int:
    """The size of a storage in bytes."""
    if type(numel) is not int or numel < 0 or numel.bit_length() > 64:
        raise MalformedError(f"a storage of {brief(numel)} elements")
    return numel * (1 if dtype is None else dtype.itemsize)


def dense(
    storage: object, offset: object, shape: object, stride: object, dtype: np.dtype[Any] | None = None
) -> TensorRecord:
    """A tensor over a storage, of the storage's own dtype unless another one is given."""
    if not isinstance(storage, Storage):
        raise MalformedError("a tensor without a storage")
    dtype = dtype or storage.dtype
    if dtype is None:
        raise MalformedError("a tensor without a typed storage")
    return TensorRecord(storage, integer(offset), integers(shape), integers(stride), dtype)


def missing(storages: Iterable[Storage]) -> str:
    """The names of storages that were not found, the first of them."""
    absent = [brief(storage.key) for storage in storages if storage.source is None]
    return ", ".join(absent[:5])
