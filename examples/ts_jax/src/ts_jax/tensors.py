"""JAX arrays as NumPy arrays, and back. Both use ml_dtypes, so every dtype is the same on either side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.errors import UnsupportedDtypeError, UnsupportedTensorError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance

if TYPE_CHECKING:
    import jax

    Array = np.ndarray[Any, np.dtype[Any]]

_KEY = "jax.PRNGKeyArray"
_TRACER = "jax.Tracer"


def concrete(tensor: Any) -> Any:
    """What a value that is being differentiated, outside of ``jax.jit``, stands for; anything else as it is."""
    while is_instance(tensor, _TRACER) and hasattr(tensor, "primal"):
        tensor = tensor.primal
    return tensor


@hookimpl
def tensor_to_numpy(tensor: object) -> Array | None:
    """The bits of an array or variable, read-only and without a copy when they lie in host memory."""
    if is_instance(tensor, "flax.nnx.Variable"):
        tensor = tensor.get_value()  # type: ignore[attr-defined]
    tensor = concrete(tensor)
    if is_instance(tensor, _TRACER):
        raise UnsupportedTensorError(
            "a value that is being traced (inside jax.jit or jax.vmap) has no numbers yet: return it from the "
            "function, or take it out with jax.debug.callback"
        )
    if is_instance(tensor, _KEY):
        raise UnsupportedTensorError("a random key has no dense array: call jax.random.key_data on it first")
    return np.asarray(tensor) if is_instance(tensor, "jax.Array") else None


@hookimpl
def tensor_from_numpy(array: Array, framework: str) -> jax.Array | None:
    """An array with a copy of the bits of an array of any layout and byte order; 64-bit types stay 64 bits wide."""
    if framework != "jax":
        return None
    import jax

    native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
    try:
        with jax.enable_x64(True):
            return jax.numpy.asarray(native)
    except TypeError as problem:
        raise UnsupportedDtypeError(f"JAX has no dtype {array.dtype.name}: {problem}") from problem
