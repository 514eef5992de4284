"""The layers of a torch module."""

from __future__ import annotations

from collections.abc import Iterator

from ts_core.contract import Layer, is_instance
from ts_core.contract.hooks import hookimpl

MODULE = "torch.nn.Module"


@hookimpl
def iter_layers(net: object) -> Iterator[Layer] | None:
    """Every module, in the order in which ``state_dict`` visits them."""
    if not is_instance(net, MODULE):
        return None
    places = net.named_modules(remove_duplicate=False)  # type: ignore[attr-defined]
    return (Layer(path, module, module.training) for path, module in places)
