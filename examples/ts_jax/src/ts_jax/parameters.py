"""The variables of a Flax NNX module: read them, and put arrays back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract import RawParameter, is_instance
from ts_core.contract.hooks import hookimpl
from ts_jax.networks import MODULE, walk
from ts_jax.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_VARIABLE = "flax.nnx.Variable"
_TRAINABLE = "flax.nnx.Param"
_RANDOM = "flax.nnx.RngState"  # keys and counters of dropout: state of a run, not of a network
_TRANSIENT = ("flax.nnx.Cache", "flax.nnx.Intermediate", "flax.nnx.Perturbation")


@hookimpl
def iter_parameters(net: object) -> Iterator[RawParameter] | None:
    """The variables of every module, named by their attributes, in the order in which these were assigned."""
    return raw_parameters(net) if is_instance(net, MODULE) else None


def raw_parameters(net: object) -> Iterator[RawParameter]:
    """The variables of a module."""
    for path, node in walk(net):
        if is_instance(node, _VARIABLE) and not is_instance(node, _RANDOM):
            trainable, persistent = is_instance(node, _TRAINABLE), not is_instance(node, *_TRANSIENT)
            yield RawParameter(path, node, trainable=trainable, persistent=persistent)


@hookimpl
def load_parameters(net: object, arrays: Mapping[str, Array]) -> object | None:
    """Set the variables."""
    if not is_instance(net, MODULE):
        return None
    for parameter in raw_parameters(net):
        if parameter.path in arrays:
            parameter.tensor.set_value(tensor_from_numpy(arrays[parameter.path], "jax"))  # type: ignore[attr-defined]
    return net
