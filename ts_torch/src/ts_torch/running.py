"""Running a torch module once, every call of every module told to an observer."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.errors import ArgumentError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance
from ts_core.contract.tracing import Call, Calls, Inputs, NewInputs, Observer, Place, Traced, leaves, mapped, replaced
from ts_torch.networks import iter_layers
from ts_torch.tensors import tensor_from_numpy

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, np.dtype[Any]]

_TENSOR = "torch.Tensor"


@hookimpl
def trace_network(
    net: object, inputs: Inputs, observer: Observer, training: bool | None, loss: Callable[[Any], Any] | None
) -> Traced | None:
    """Run the module with a hook before and after each call of each module, and hooks on the tensors that pass them."""
    layers = iter_layers(net)
    if layers is None:
        return None
    import torch

    assert isinstance(net, torch.nn.Module)
    devices = dict.fromkeys(tensor.device for tensor in (*net.parameters(), *net.buffers()))
    if len(devices) > 1:
        raise ArgumentError(f"the network is spread over {', '.join(map(str, devices))}: move it to one device first")
    device = next(iter(devices), torch.device("cpu"))
    with (
        contextlib.ExitStack() as on_tensors,
        _as_before(net, device, loss is not None),
        Calls(layers, observer) as calls,
    ):
        run = _Run(calls, device, on_tensors if loss is not None else None)
        args, kwargs = (mapped(values, run.input) for values in (inputs.args, dict(inputs.kwargs)))
        if training is not None:
            net.train(training)
        with run.watching():
            output = net(*args, **kwargs)
        if loss is None:
            return Traced(output)
        weights = {path: each for path, each in net.named_parameters() if each.requires_grad}
        value = loss(output)
        if not is_instance(value, _TENSOR) or not value.requires_grad or value.numel() != 1:
            raise ArgumentError("loss answered what has no gradient: it takes a scalar tensor made of the output")
        # Not backward(): it would add to the parameters' gradients, and set off what waits for these.
        gradients = torch.autograd.grad(value.reshape(()), [*weights.values(), *run.sources], allow_unused=True)
        return Traced(output, value, dict(zip(weights, gradients, strict=False)))


@hookimpl
def in_double(layer: object) -> object | None:
    """A copy of the module in float64."""
    if not is_instance(layer, "torch.nn.Module"):
        return None
    import torch

    assert isinstance(layer, torch.nn.Module)
    double = copy.deepcopy(layer).double()
    for module in double.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    copied: object = double
    return copied


class _Run:
    """What the hooks do; `on_tensors` takes the hooks on tensors, None when no gradients are asked for."""

    def __init__(self, calls: Calls, device: torch.device, on_tensors: contextlib.ExitStack | None) -> None:
        self.sources: list[torch.Tensor] = []  # leaves of the graph that are no parameters
        self._calls, self._device, self._on_tensors = calls, device, on_tensors
        self._instead: dict[int, object] = {}  # what a module returns that does not run, by its identity

    def input(self, _: Place, leaf: Any) -> Any:
        """An array as a tensor where the network is."""
        if not isinstance(leaf, np.ndarray):
            return leaf
        made = _tensor(leaf, self._device)
        if self._on_tensors is None or not (made.is_floating_point() or made.is_complex()):
            return made
        self.sources.append(made.requires_grad_())
        return made.clone()  # a leaf of the graph could not be changed in place

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """With a hook before and after the calls of every module; compiled code, which has none, is not used."""
        with contextlib.ExitStack() as hooks:
            compiler = sys.modules.get("torch.compiler")
            if "torch._dynamo" in sys.modules and hasattr(compiler, "set_stance"):
                hooks.enter_context(compiler.set_stance("force_eager"))  # type: ignore[union-attr]
            for layer in self._calls.layers:
                module: Any = layer.layer
                hooks.enter_context(module.register_forward_pre_hook(self._enter, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(self._leave, with_kwargs=True, always_call=True))
                own = vars(module).get("forward")
                module.__dict__["forward"] = self._unless_answered(module, module.forward)
                hooks.callback(_put_back, module, own)
            yield

    def _unless_answered(self, module: object, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def run(*args: Any, **kwargs: Any) -> Any:
            return self._instead.pop(id(module)) if id(module) in self._instead else forward(*args, **kwargs)

        return run

    def _enter(self, module: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        call, answer = self._calls.enter(module, args, kwargs)
        if isinstance(answer, NewInputs):
            given = (args, answer.args), (dict(kwargs), dict(answer.kwargs))
            args, kwargs = (replaced(old, new, self._answered, call) for old, new in given)  # type: ignore[assignment]
        self._watch(call, "inputs", [*leaves(args), *leaves(kwargs)])
        if isinstance(answer, NewInputs):
            return args, kwargs
        if answer is not None:
            self._instead[id(module)] = mapped(answer, self.input)
        return None

    def _leave(self, module: object, args: object, kwargs: object, output: Any) -> Any:
        call, answer = self._calls.leave(module, output)
        if call is None:
            return None
        if answer is not None:
            output = replaced(output, answer, self._answered, call)
        self._watch(call, "outputs", leaves(output))
        return None if answer is None else output

    def _answered(self, value: Any, leaf: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = _tensor(value, leaf.device if is_instance(leaf, _TENSOR) else self._device)
        if _takes_gradient(leaf) and is_instance(value, _TENSOR) and value.shape == leaf.shape:
            return _instead()(leaf, value)
        return value

    def _watch(self, call: Call, side: str, values: Iterable[tuple[Place, Any]]) -> None:
        if self._on_tensors is None:
            return
        for place, leaf in values:
            if _takes_gradient(leaf):
                self._on_tensors.enter_context(leaf.register_hook(self._told(call, side, place)))

    def _told(self, call: Call, side: str, place: Place) -> Callable[[torch.Tensor], torch.Tensor | None]:
        def hook(gradient: torch.Tensor) -> torch.Tensor | None:
            answer = self._calls.gradient(call, side, place, gradient)
            return _tensor(answer, gradient.device).to(gradient.dtype) if isinstance(answer, np.ndarray) else None

        return hook


def _put_back(module: torch.nn.Module, own: object | None) -> None:
    module.__dict__.pop("forward")
    if own is not None:
        module.__dict__["forward"] = own


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
