"""What MindSpore's grad functions return, by name, and a callback on the gradient of one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract.errors import ArgumentTypeError
from ts_core.contract.gradients import named
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance

if TYPE_CHECKING:
    import mindspore


@hookimpl
def extract_gradients(source: object, net: object | None) -> Mapping[str, Any] | None:
    """The gradients of the weights, by name, from any result of ``grad``, ``value_and_grad`` or ``GradOperation``."""
    if is_instance(source, "mindspore.nn.Cell"):
        raise ArgumentTypeError("a MindSpore network keeps no gradients: pass what the grad function returned")
    weights = _weight_gradients(source)
    if weights is None:
        return None
    if all(_is_tensor(gradient) for gradient in weights):
        return named(weights, None if net is None else _places(net))
    return {name: gradient for name, gradient in weights if isinstance(name, str)}  # an int is an input's position


def _weight_gradients(source: object) -> list[Any] | None:
    """The part of a grad function's result that belongs to the weights: tensors, or with return_ids pairs (id, tensor).

    The results are ``gradients``, ``(loss, gradients)`` and ``(of the inputs, of the weights)``, one inside the other
    when both were asked for: the weights are always last. A single weight comes without the tuple around it.
    """
    if _is_tensor(source) or _is_pair(source):
        return [source]
    if not isinstance(source, list | tuple) or not source:
        return None
    if all(_is_tensor(item) for item in source) or all(_is_pair(item) for item in source):
        return list(source)
    return _weight_gradients(source[-1]) if len(source) == 2 else None


def _is_tensor(item: object) -> bool:
    return is_instance(item, "mindspore.Tensor")


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str | int) and _is_tensor(item[1])


def _places(net: Any) -> Iterable[tuple[str, mindspore.Parameter]]:
    parameters = net.trainable_params() if is_instance(net, "mindspore.nn.Cell") else net
    parameters = [parameters] if _is_tensor(parameters) else parameters
    return [(parameter.name, parameter) for parameter in parameters]


@hookimpl
def on_gradient(tensor: object, callback: Callable[[object], None]) -> mindspore.Tensor | None:
    """The tensor behind an operator that hands its gradient to the callback, in eager mode."""
    if not is_instance(tensor, "mindspore.Tensor"):
        return None
    return _hooked(tensor, callback)


def _hooked(tensor: mindspore.Tensor, callback: Callable[[object], None]) -> mindspore.Tensor:
    from mindspore import ops

    def pass_on(gradient: mindspore.Tensor) -> mindspore.Tensor:
        callback(gradient)
        return gradient

    if not _takes_gradient(tensor):
        return tensor
    return ops.InsertGradientOf(pass_on)(tensor)


def _takes_gradient(tensor: mindspore.Tensor) -> bool:
    from mindspore.common.api import _pynative_executor

    recording = _pynative_executor.grad_flag()
    return bool(recording and tensor.is_floating_point() and getattr(tensor, "_requires_grad", True))
