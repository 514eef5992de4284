"""The parameters and buffers of a MindSpore cell: read them, and put arrays back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract import RawParameter
from ts_core.contract.hooks import hookimpl
from ts_mindspore.networks import iter_layers
from ts_mindspore.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@hookimpl
def iter_parameters(net: object) -> Iterator[RawParameter] | None:
    """The parameters and buffers of every cell in definition order, named as MindSpore names them in files."""
    return None if iter_layers(net) is None else _parameters(net)


def _parameters(net: object) -> Iterator[RawParameter]:
    for layer in iter_layers(net) or ():
        cell: Any = layer.layer
        buffers = getattr(cell, "_buffers", {})  # since MindSpore 2.4
        for local, tensor in {**cell._params, **buffers}.items():
            if tensor is not None:
                yield RawParameter(
                    path=layer.inside(local),
                    tensor=tensor,
                    name=None if local in buffers else tensor.name,
                    trainable=bool(getattr(tensor, "requires_grad", False)),
                    persistent=local not in getattr(cell, "_non_persistent_buffers_set", ()),
                )


@hookimpl
def load_parameters(net: object, arrays: Mapping[str, Array]) -> object | None:
    """Set the cell's own parameters."""
    if iter_layers(net) is None:
        return None
    for parameter in _parameters(net):
        if parameter.path in arrays:
            place: Any = parameter.tensor
            assign = place.set_data if hasattr(place, "set_data") else place.assign_value  # the latter of a buffer
            assign(tensor_from_numpy(arrays[parameter.path], "mindspore"))
    return net
