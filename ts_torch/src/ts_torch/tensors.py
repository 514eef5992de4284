"""torch tensors as NumPy arrays, and back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from ts_core.contract.errors import UnsupportedDtypeError, UnsupportedTensorError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, np.dtype[Any]]

# dtypes that NumPy itself lacks: torch's name → (the dtype of the array, torch's integer of the same width)
_EXTENDED_DTYPES = {
    "bfloat16": (ml_dtypes.bfloat16, "int16"),
    "float8_e4m3fn": (ml_dtypes.float8_e4m3fn, "int8"),
    "float8_e4m3fnuz": (ml_dtypes.float8_e4m3fnuz, "int8"),
    "float8_e5m2": (ml_dtypes.float8_e5m2, "int8"),
    "float8_e5m2fnuz": (ml_dtypes.float8_e5m2fnuz, "int8"),
    "float8_e8m0fnu": (ml_dtypes.float8_e8m0fnu, "int8"),
}


@hookimpl
def tensor_to_numpy(tensor: object) -> Array | None:
    """The bits of a dense tensor; shares its memory when it lies in host memory and is not lazily conjugated."""
    if not is_instance(tensor, "torch.Tensor"):
        return None
    return _dense(tensor)


def _dense(tensor: torch.Tensor) -> Array:
    import torch

    if tensor.layout is not torch.strided:
        raise UnsupportedTensorError(
            f"a tensor of layout {tensor.layout} has no dense array: call .to_dense() on it first"
        )
    if tensor.is_quantized:
        raise UnsupportedTensorError(f"a tensor of dtype {tensor.dtype} is quantised: call .dequantize() on it first")
    if tensor.device.type == "meta":
        raise UnsupportedTensorError(f"a tensor of shape {tuple(tensor.shape)} on the meta device has no data")
    host = tensor.detach().cpu().resolve_conj().resolve_neg()
    extended = _extended_dtypes().get(host.dtype)
    if extended is not None:
        dtype, carrier = extended
        bits: Array = host.view(carrier).numpy()
        return bits.view(dtype)
    try:
        array: Array = host.numpy()
    except TypeError as problem:
        raise UnsupportedTensorError(f"a tensor of dtype {host.dtype} has no NumPy array: {problem}") from problem
    return array


@functools.cache
def _extended_dtypes() -> dict[torch.dtype, tuple[type, torch.dtype]]:
    """The table above by torch's own dtypes; a release that lacks one of them leaves it out."""
    import torch

    return {
        getattr(torch, name): (dtype, getattr(torch, carrier))
        for name, (dtype, carrier) in _EXTENDED_DTYPES.items()
        if hasattr(torch, name)
    }


@hookimpl
def tensor_from_numpy(array: Array, framework: str) -> torch.Tensor | None:
    """A tensor with a copy of the bits of an array of any layout and byte order."""
    if framework != "torch":
        return None
    import torch

    # A copy in C order and in the machine's byte order, writable: what torch.from_numpy can take as it is.
    native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
    for extended, (dtype, _) in _extended_dtypes().items():
        if native.dtype == dtype:
            return torch.from_numpy(native.view(f"i{native.dtype.itemsize}")).view(extended)
    try:
        return torch.from_numpy(native)
    except TypeError as problem:
        raise UnsupportedDtypeError(f"torch has no dtype {array.dtype.name}: {problem}") from problem
