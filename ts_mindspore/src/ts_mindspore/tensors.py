"""MindSpore tensors as NumPy arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from ts_core.contract.errors import UnsupportedDtypeError, UnsupportedTensorError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance

if TYPE_CHECKING:
    import mindspore

    Array = np.ndarray[Any, np.dtype[Any]]

# dtypes that NumPy itself lacks, by MindSpore's name. MindSpore hands out bfloat16 as a dtype of its own and float8 as
# an empty record of one byte; the bits are the same.
EXTENDED_DTYPES = {
    "BFloat16": ml_dtypes.bfloat16,
    "Float8E4M3FN": ml_dtypes.float8_e4m3fn,
    "Float8E5M2": ml_dtypes.float8_e5m2,
}
_SPARSE = ("mindspore.COOTensor", "mindspore.CSRTensor", "mindspore.RowTensor")
_NATIVE_KINDS = "biufc"  # bool, integer, unsigned, float, complex: what MindSpore takes from NumPy


@hookimpl
def tensor_to_numpy(tensor: object) -> Array | None:
    """The bits of a tensor; shares its memory when that lies in the host."""
    if is_instance(tensor, *_SPARSE):
        raise UnsupportedTensorError(f"a {type(tensor).__name__} has no dense array: call .to_dense() on it first")
    if not is_instance(tensor, "mindspore.Tensor"):
        return None
    return _dense(tensor)


def _dense(tensor: mindspore.Tensor) -> Array:
    array: Array = tensor.asnumpy()
    if array.dtype.kind in _NATIVE_KINDS:
        return array
    dtype = EXTENDED_DTYPES.get(str(tensor.dtype))
    if dtype is None:
        raise UnsupportedTensorError(f"a tensor of dtype {tensor.dtype} has no NumPy array")
    return array.view(f"u{np.dtype(dtype).itemsize}").view(dtype)


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """The NumPy (or ``ml_dtypes``) dtype of the same bits as a dtype of MindSpore's."""
    name = str(dtype)  # MindSpore's names are NumPy's, capitalised: Float32, UInt8, Bool
    return np.dtype(EXTENDED_DTYPES.get(name, name.lower()))


@hookimpl
def tensor_from_numpy(array: Array, framework: str) -> mindspore.Tensor | None:
    """A tensor with a copy of the bits of an array of any layout and byte order."""
    if framework != "mindspore":
        return None
    import mindspore

    native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
    # The extended dtypes first: NumPy gives some of them the kind of an ordinary float.
    for name, dtype in EXTENDED_DTYPES.items():
        if native.dtype == dtype:
            raw = mindspore.Tensor.convert_bytes_to_tensor(native.tobytes(), native.shape, _mindspore_dtype(name))
            return mindspore.Tensor(raw)
    if native.dtype.kind not in _NATIVE_KINDS:
        raise UnsupportedDtypeError(f"MindSpore has no dtype {array.dtype.name}")
    try:
        return mindspore.Tensor(native)
    except TypeError as problem:
        raise UnsupportedDtypeError(f"MindSpore has no dtype {array.dtype.name}") from problem


def _mindspore_dtype(name: str) -> Any:
    import mindspore

    known = (getattr(mindspore, attribute, None) for attribute in ("bfloat16", "float8_e4m3fn", "float8_e5m2"))
    for dtype in known:
        if str(dtype) == name:
            return dtype
    raise UnsupportedDtypeError(f"MindSpore {mindspore.__version__} has no dtype {name}")
