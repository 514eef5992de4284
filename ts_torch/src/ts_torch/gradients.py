"""The gradients of a torch module by name, and a callback on the gradient of one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract.gradients import named
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance

if TYPE_CHECKING:
    import torch


@hookimpl
def extract_gradients(source: object, net: object | None) -> Mapping[str, Any] | None:
    """The ``.grad`` of every parameter of a module, or what ``torch.autograd.grad`` returned, by name."""
    if is_instance(source, "torch.nn.Module"):
        return {name: parameter.grad for name, parameter in source.named_parameters()}  # type: ignore[attr-defined]
    values = [source] if is_instance(source, "torch.Tensor") else source
    if not isinstance(values, list | tuple) or not any(is_instance(value, "torch.Tensor") for value in values):
        return None
    return named(values, None if net is None else _places(net))


def _places(net: Any) -> Iterable[tuple[str, torch.Tensor]]:
    """Name and parameter: of a module, those that take a gradient; else what ``named_parameters`` or a dict gives."""
    if is_instance(net, "torch.nn.Module"):
        return [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    return net.items() if isinstance(net, Mapping) else net


@hookimpl
def on_gradient(tensor: object, callback: Callable[[object], None]) -> torch.Tensor | None:
    """A copy of the tensor, hooked; a copy, because a hook on a view is lost when the view is changed in place."""
    if not is_instance(tensor, "torch.Tensor"):
        return None
    return _hooked(tensor, callback)


def _hooked(tensor: torch.Tensor, callback: Callable[[object], None]) -> torch.Tensor:
    copy = tensor.clone()
    if not copy.requires_grad:  # nor does the original, or gradients are switched off here
        return tensor
    copy.register_hook(callback)
    return copy
