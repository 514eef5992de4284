"""Running a torch module once, to see in which order its layers work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ts_core.contract.hooks import hookimpl
from ts_torch.networks import iter_layers
from ts_torch.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@hookimpl
def run_network(net: object, inputs: Sequence[Array]) -> tuple[list[str], object] | None:
    """The paths of the modules in the order of their first call, and what the module returned, in evaluation mode."""
    layers = iter_layers(net)
    if layers is None:
        return None
    import torch

    assert isinstance(net, torch.nn.Module)
    order: dict[str, None] = {}
    modules: dict[str, Any] = {layer.path: layer.layer for layer in layers}
    training = [module for module in modules.values() if module.training]

    def note(path: str) -> Any:
        return lambda *_: order.setdefault(path)

    hooks = [module.register_forward_pre_hook(note(path)) for path, module in modules.items()]
    device = next((parameter.device for parameter in net.parameters()), None)
    try:
        with torch.no_grad():
            output = net.eval()(
                *(torch.as_tensor(tensor_from_numpy(array, "torch"), device=device) for array in inputs)
            )
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True
    return list(order), output
