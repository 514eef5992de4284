"""What the pickle in a torch file describes: storages, and tensors in them, which are checked before they exist."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.dtypes import DtypeTable, is_native
from ts_core.contract.files import count_elements
from ts_core.contract.pickles import BUILDERS as PLAIN_BUILDERS
from ts_core.contract.pickles import Builder, Global, MalformedError, construct, integers

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


@dataclass(eq=False, slots=True)
class Storage:
    """A block of elements in the file.

    Attributes:
        key: its name in the file.
        dtype: of its elements; None for bytes, whose dtype the tensor states.
        nbytes: its size as the pickle states it; to be checked against the file.
        start: where in the file it begins, once that is known.
        source: the file, once the place in it is known.
    """

    key: str
    dtype: np.dtype[Any] | None
    nbytes: int
    start: int = 0
    source: ByteSource | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TensorRecord:
    """A tensor as the pickle describes it; :meth:`check` says whether the description is true.

    Attributes:
        storage: where its elements are.
        offset: of its first element, in elements.
        shape: its shape.
        stride: in elements.
        dtype: of its elements.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """The size of its elements, repeated ones counted each time."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, most_bytes: int) -> None:
        """Refuse a tensor that reaches beyond its storage, or repeats elements to more than so many bytes."""
        count_elements(self.shape)
        if len(self.shape) != len(self.stride) or self.offset < 0 or any(step < 0 for step in self.stride):
            raise MalformedError(
                f"a tensor cannot have the shape {self.shape}, stride {self.stride!r:.200}, offset {self.offset}"
            )
        if 0 in self.shape:
            return
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if (last + 1) * self.dtype.itemsize > self.storage.nbytes:
            raise MalformedError(
                f"shape {self.shape}, stride {self.stride}, offset {self.offset} reach to element {last} of a storage "
                f"of {self.storage.nbytes} bytes"
            )
        if self.nbytes > max(most_bytes, self.storage.nbytes):
            raise MalformedError(
                f"the shape {self.shape} repeats a storage of {self.storage.nbytes} bytes beyond reason"
            )

    def set_state(self, state: object) -> None:
        """Attributes that somebody gave the tensor are of no interest."""

    def array(self, byte_order: str) -> Array:
        """A read-only view of the storage. The record has been checked, and its storage found.

        Args:
            byte_order: ``"<"`` or ``">"``, of the file.
        """
        if byte_order == "<" or self.dtype.itemsize == 1:
            return self._view(self.dtype)
        if is_native(self.dtype):
            return self._view(self.dtype.newbyteorder(">"))
        width = self.dtype.itemsize  # bfloat16, which exists in the machine's byte order only
        return self._view(np.dtype(f">u{width}")).astype(f"<u{width}").view(self.dtype)

    def _view(self, dtype: np.dtype[Any]) -> Array:
        if 0 in self.shape or self.storage.source is None:
            return np.empty(self.shape, dtype)
        # Along an axis of one element the step means nothing, and may be larger than an address.
        strides = tuple(
            step * dtype.itemsize if size > 1 else 0 for size, step in zip(self.shape, self.stride, strict=True)
        )
        return self.storage.source.array(self.storage.start + self.offset * dtype.itemsize, self.shape, dtype, strides)


@dataclass(frozen=True, slots=True)
class UnreadableTensor:
    """A tensor that has no dense array: sparse, quantised, without data."""

    reason: str

    def set_state(self, state: object) -> None:
        """Attributes that somebody gave the tensor are of no interest."""


def storage_dtype(cls: object) -> np.dtype[Any] | None:
    """What the class of a storage holds; None for bytes, whose dtype the tensor states."""
    if not isinstance(cls, Global) or not cls.module.startswith("torch") or cls.name not in STORAGES:
        raise MalformedError(f"a storage of the type {cls}")
    name = STORAGES[cls.name]
    return None if name is None else DTYPES.dtype(name)


def storage_nbytes(numel: object, dtype: np.dtype[Any] | None) -> int:
    """The size of a storage in bytes."""
    if type(numel) is not int or numel < 0:
        raise MalformedError(f"a storage of {numel!r:.40} elements")
    return numel * (1 if dtype is None else dtype.itemsize)


# ---------------------------------------------------------------------------------------------------------------------
# Builders: what is made for the names that are known. Their arguments come from the file: they check everything.


def _tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> TensorRecord:
    if not isinstance(storage, Storage) or storage.dtype is None:
        raise MalformedError("a tensor without a typed storage")
    return _record(storage, offset, shape, stride, storage.dtype)


def _tensor_of_dtype(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, dtype: object,
    *_: object,
) -> TensorRecord | UnreadableTensor:  # fmt: skip
    if not isinstance(storage, Storage) or not isinstance(dtype, Global):
        raise MalformedError("a tensor without a storage and a dtype")
    known = DTYPES.dtype(dtype.name)
    if known is None:
        return UnreadableTensor(f"dtype {dtype}")
    return _record(storage, offset, shape, stride, known)


def _record(storage: Storage, offset: object, shape: object, stride: object, dtype: np.dtype[Any]) -> TensorRecord:
    numbers = (offset, *integers(shape), *integers(stride))
    if not all(type(number) is int for number in numbers):
        raise MalformedError(f"the offset, shape and stride of a tensor are not whole numbers: {numbers[:9]!r}")
    return TensorRecord(storage, int(offset), integers(shape), integers(stride), dtype)  # type: ignore[call-overload]  # checked above


def _first(value: object, *_: object) -> object:
    return value


def _from_type(function: object, _cls: object, args: object, *_: object) -> object:
    if not isinstance(function, Global) or not isinstance(args, tuple) or function == _FROM_TYPE:
        raise MalformedError("a tensor subclass without a function that builds it")
    return construct(function, args, BUILDERS)


def _unreadable(reason: str) -> Callable[..., UnreadableTensor]:
    return lambda *_: UnreadableTensor(reason)


def _size(sizes: object = ()) -> tuple[int, ...]:
    return integers(sizes)


def _device(kind: object, index: object = None) -> str:
    return f"{kind}" if index is None else f"{kind}:{index}"


_FROM_TYPE = Global("torch._tensor", "_rebuild_from_type_v2")
_UTILS = "torch._utils"
BUILDERS: Mapping[Global, Builder] = {
    **PLAIN_BUILDERS,
    Global(_UTILS, "_rebuild_tensor"): _tensor,
    Global(_UTILS, "_rebuild_tensor_v2"): _tensor,
    Global(_UTILS, "_rebuild_tensor_v3"): _tensor_of_dtype,
    Global(_UTILS, "_rebuild_parameter"): _first,
    Global(_UTILS, "_rebuild_parameter_with_state"): _first,
    Global(_UTILS, "_rebuild_sparse_tensor"): _unreadable("sparse"),
    Global(_UTILS, "_rebuild_qtensor"): _unreadable("quantised"),
    Global(_UTILS, "_rebuild_nested_tensor"): _unreadable("nested"),
    Global(_UTILS, "_rebuild_meta_tensor_no_storage"): _unreadable("on the meta device, without data"),
    Global(_UTILS, "_rebuild_wrapper_subclass"): _unreadable("a wrapper of other tensors"),
    _FROM_TYPE: _from_type,
    Global("torch", "Size"): _size,
    Global("torch", "device"): _device,
}
