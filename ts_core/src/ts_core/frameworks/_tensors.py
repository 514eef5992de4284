"""Tensors of any framework as NumPy arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.errors import PluginError, UnsupportedTensorError
from ts_core.frameworks._registry import no_plugin, registry, require_framework

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

_SCALARS = (bool, int, float, complex, np.generic)


def to_numpy(tensor: object) -> Array:
    """Any framework's tensor as an array of the same bits.

    The array shares the tensor's memory where the framework allows (a dense tensor in host memory), and is a copy
    where it cannot (another device, a lazy conjugate). bfloat16 and float8 come out as the dtypes of ``ml_dtypes``.

    Args:
        tensor: a tensor of a framework that has a plug-in, an ndarray (returned as it is) or a number.

    Returns:
        An array of the tensor's shape and dtype.

    Raises:
        NoPluginError: no plug-in recognises the object; the message says what to install.
        UnsupportedTensorError: the tensor has no dense array (sparse, quantised, meta, masked).
    """
    if isinstance(tensor, np.ndarray):
        if isinstance(tensor, np.ma.MaskedArray) and np.any(tensor.mask):
            raise UnsupportedTensorError("an array with a mask is no dense array: call .filled() on it first")
        return tensor
    if isinstance(tensor, _SCALARS):
        return np.asarray(tensor)
    array: Array | None = registry().first("tensor_to_numpy", tensor, tensor=tensor)
    if array is None:
        raise no_plugin(tensor)
    return array


def from_numpy(array: Array, framework: str) -> Any:
    """A tensor of a framework with the bits of an array; the two share no memory.

    Args:
        array: any array whose dtype the framework has.
        framework: its name, ``"torch"`` or ``"mindspore"``.

    Returns:
        The framework's own tensor, of the array's shape and dtype.

    Raises:
        ArgumentError: no plug-in knows the framework.
        FrameworkMissingError: the framework is not installed.
        UnsupportedDtypeError: the framework has no such dtype.
        PluginError: its plug-in makes no tensors from arrays.
    """
    require_framework(framework)
    tensor = registry().first("tensor_from_numpy", framework, array=array, framework=framework)
    if tensor is None:
        raise PluginError(f"the plug-in for {framework} does not make tensors from arrays")
    return tensor
