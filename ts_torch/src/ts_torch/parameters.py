"""The parameters and buffers of a torch module: read them, and put arrays back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract import RawParameter, is_instance
from ts_core.contract.errors import NotBuiltError
from ts_core.contract.hooks import hookimpl
from ts_torch.networks import iter_layers
from ts_torch.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_NOT_BUILT = ("torch.nn.UninitializedParameter", "torch.nn.UninitializedBuffer")


@hookimpl
def iter_parameters(net: object) -> Iterator[RawParameter] | None:
    """The parameters and buffers of every module in the order in which ``state_dict`` lists them."""
    return None if iter_layers(net) is None else _parameters(net)


def _parameters(net: object) -> Iterator[RawParameter]:
    for layer in iter_layers(net) or ():
        module: Any = layer.layer
        for local, tensor in {**module._parameters, **module._buffers}.items():
            if tensor is not None:
                path = layer.inside(local)
                if is_instance(tensor, *_NOT_BUILT):
                    raise NotBuiltError(f"{path} has no shape yet: call the network once, so that its lazy layers know")
                persistent = local not in module._non_persistent_buffers_set
                yield RawParameter(path, tensor, trainable=tensor.requires_grad, persistent=persistent)


@hookimpl
def load_parameters(net: object, arrays: Mapping[str, Array]) -> object | None:
    """Copy arrays into the module's own tensors, wherever these are."""
    if iter_layers(net) is None:
        return None
    import torch

    with torch.no_grad():
        for parameter in _parameters(net):
            if parameter.path in arrays:
                parameter.tensor.copy_(tensor_from_numpy(arrays[parameter.path], "torch"))  # type: ignore[attr-defined]
    return net
