"""Running a MindSpore cell once, to see in which order its layers work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ts_core.contract.hooks import hookimpl
from ts_mindspore.networks import iter_layers
from ts_mindspore.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@hookimpl
def run_network(net: object, inputs: Sequence[Array]) -> tuple[list[str], object] | None:
    """The paths of the cells in the order of their first call, and what the cell returned, in evaluation mode."""
    layers = iter_layers(net)
    if layers is None:
        return None
    import mindspore

    assert isinstance(net, mindspore.nn.Cell)
    order: dict[str, None] = {}
    cells: dict[str, Any] = {layer.path: layer.layer for layer in layers}
    training = [cell for cell in cells.values() if cell.training]

    def note(path: str) -> Any:
        def hook(*_: object) -> None:
            order.setdefault(path)

        return hook

    hooks = [cell.register_forward_pre_hook(note(path)) for path, cell in cells.items()]
    mode = mindspore.get_context("mode")
    try:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)  # compiled graphs call no hooks
        net.set_train(False)
        output = net(*(tensor_from_numpy(array, "mindspore") for array in inputs))
    finally:
        mindspore.set_context(mode=mode)
        for hook in hooks:
            hook.remove()
        for cell in training:
            cell.training = True
    return list(order), output
