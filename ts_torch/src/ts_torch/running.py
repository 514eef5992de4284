"""Running a torch module once, every call of every module told to an observer."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.errors import ArgumentError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance
from ts_core.contract.tracing import Calls, Inputs, Observer, Traced
from ts_torch.networks import iter_layers
from ts_torch.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, np.dtype[Any]]

_TENSOR = "torch.Tensor"


@hookimpl
def trace_network(
    net: object, inputs: Inputs, observer: Observer, training: bool, loss: Callable[[Any], Any] | None
) -> Traced | None:
    """Run the module with a hook before and after each call of each module, and hooks on the tensors that pass them."""
    layers = iter_layers(net)
    if layers is None:
        return None
    import torch

    assert isinstance(net, torch.nn.Module)
    device = next((tensor.device for tensor in (*net.parameters(), *net.buffers())), torch.device("cpu"))
    run = _Run(device, loss is not None)
    with (
        run.on_tensors,
        _as_before(net, device, loss is not None),
        Calls(layers, observer, run.answered, run.watch if loss is not None else None) as calls,
    ):
        args, kwargs = inputs.tensors(run.input)
        net.train(training)
        with _hooks(calls):
            output = net(*args, **kwargs)
        if loss is not None:
            wanted = [*run.sources, *(each for each in net.parameters() if each.requires_grad)]
            value = loss(output)
            if not is_instance(value, _TENSOR) or not value.requires_grad:
                raise ArgumentError("loss answered what has no gradient: it takes a scalar tensor made of the output")
            # Not backward(): it would add to the parameters' gradients, and set off what waits for these.
            torch.autograd.grad(value, wanted, allow_unused=True)
    return Traced(output)


class _Run:
    """Tensors on their way through the module, watched or not."""

    def __init__(self, device: torch.device, watched: bool) -> None:
        self.on_tensors = contextlib.ExitStack()  # the hooks on tensors
        self.sources: list[torch.Tensor] = []  # leaves of the graph that are no parameters
        self._device, self._watched = device, watched

    def input(self, array: Array) -> Any:
        """An array as a tensor where the network is."""
        made = _tensor(array, self._device)
        if not self._watched or not (made.is_floating_point() or made.is_complex()):
            return made
        self.sources.append(made.requires_grad_())
        return made.clone()  # a leaf of the graph could not be changed in place

    def answered(self, value: Any, leaf: Any) -> Any:
        """What goes on in place of a leaf of an output."""
        if isinstance(value, np.ndarray):
            value = _tensor(value, leaf.device if is_instance(leaf, _TENSOR) else self._device)
        if _takes_gradient(leaf) and is_instance(value, _TENSOR) and value.shape == leaf.shape:
            return _instead()(leaf, value)
        return value

    def watch(self, leaf: Any, told: Callable[[Any], None]) -> None:
        """Hand on the gradient of a tensor that takes one."""
        if _takes_gradient(leaf):
            self.on_tensors.enter_context(leaf.register_hook(told))


@contextlib.contextmanager
def _hooks(calls: Calls) -> Iterator[None]:
    """With a hook before and after the calls of every module; compiled code, which has none, is not used."""

    def after(module: object, args: object, kwargs: object, output: Any) -> Any:
        return calls.after(module, output)

    with contextlib.ExitStack() as hooks:
        compiler = sys.modules.get("torch.compiler")
        if "torch._dynamo" in sys.modules and hasattr(compiler, "set_stance"):
            hooks.enter_context(compiler.set_stance("force_eager"))  # type: ignore[union-attr]
        for layer in calls.layers:
            module: Any = layer.layer
            hooks.enter_context(module.register_forward_pre_hook(calls.before, with_kwargs=True))
            hooks.enter_context(module.register_forward_hook(after, with_kwargs=True, always_call=True))
        yield


def _tensor(array: Array, device: torch.device) -> Any:
    tensor: Any = tensor_from_numpy(array, "torch")
    return tensor.to(device)


def _takes_gradient(leaf: Any) -> bool:
    return is_instance(leaf, _TENSOR) and leaf.requires_grad


@functools.cache
def _instead() -> Callable[[Any, Any], Any]:
    """A function whose value is its second argument, and whose gradient goes to its first."""
    import torch

    class Instead(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, tensor: Any, value: Any) -> Any:
            return value.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient, None

    apply: Callable[[Any, Any], Any] = Instead.apply
    return apply


@contextlib.contextmanager
def _as_before(net: torch.nn.Module, device: torch.device, differentiate: bool) -> Iterator[None]:
    """Gradients are recorded or not; afterwards modes, ``requires_grad``, buffers, random states are as they were."""
    import torch

    modes = [(module, module.training, dict(module._buffers)) for module in net.modules()]
    takers = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    values = [(buffer, buffer.detach().clone()) for buffer in net.buffers()]
    devices, kind = ([device], device.type) if device.type in ("cuda", "xpu") else ([], "cuda")
    try:
        with (
            torch.random.fork_rng(devices, device_type=kind),
            torch.inference_mode(mode=False),
            torch.set_grad_enabled(differentiate),
        ):
            yield
    finally:
        for module, training, buffers in modes:
            module.training = training
            module._buffers.clear()
            module._buffers.update(buffers)
        for parameter, takes in takers:
            parameter.requires_grad_(takes)
        with torch.no_grad():
            for buffer, value in values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
