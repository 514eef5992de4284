"""Running a Flax NNX module once, every call of every module told to an observer."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract import is_instance
from ts_core.contract.hooks import hookimpl
from ts_core.contract.tracing import Call, Calls, Inputs, NewInputs, Observer, Place, Traced, leaves, mapped, replaced
from ts_jax.gradients import extract_gradients, on_gradient
from ts_jax.networks import iter_layers
from ts_jax.tensors import concrete, tensor_from_numpy

if TYPE_CHECKING:
    pass


@hookimpl
def trace_network(
    net: object, inputs: Inputs, observer: Observer, training: bool | None, loss: Callable[[Any], Any] | None
) -> Traced | None:
    """Run a copy of the module, eagerly, with its classes' ``__call__`` wrapped: Flax has no hooks.

    A copy, because what changes the module while it is differentiated would have to be changed back. Modules that
    ``nnx.scan``, ``nnx.jit`` and the like hand to a function are other objects there, and not told of.
    """
    layers = list(iter_layers(net) or ())
    if not layers:
        return None
    import jax
    from flax import nnx

    def learned(path: object, variable: Any) -> bool:
        return is_instance(variable, "flax.nnx.Param") and jax.numpy.issubdtype(variable.dtype, jax.numpy.inexact)

    structure, weights, rest = nnx.split(net, learned, ...)
    given = (inputs.args, dict(inputs.kwargs))
    tensors: list[Any] = [tensor_from_numpy(leaf, "jax") for _, leaf in leaves(given) if isinstance(leaf, np.ndarray)]
    positions = [i for i, tensor in enumerate(tensors) if jax.numpy.issubdtype(tensor.dtype, jax.numpy.inexact)]
    outputs: list[Any] = []
    with Calls(layers, observer) as calls, jax.disable_jit():

        def forward(weights: Any, changed: list[Any]) -> Any:
            # Variables of this level of differentiation, which the module may change.
            own = nnx.merge(structure, weights, jax.tree.map(lambda leaf: leaf, rest))
            if training is not None:
                own.train() if training else own.eval()
            every = tensors.copy()
            for position, tensor in zip(positions, changed, strict=True):
                every[position] = tensor
            source = iter(every)
            args, kwargs = mapped(given, lambda _, leaf: next(source) if isinstance(leaf, np.ndarray) else leaf)
            with _watching(_originals(own, layers), calls, loss is not None):
                output = own(*args, **kwargs)
            outputs.append(mapped(output, lambda _, leaf: concrete(leaf)))
            return output

        changed = [tensors[position] for position in positions]
        if loss is None:
            forward(weights, changed)
            return Traced(outputs[0])
        found, (gradients, _) = jax.value_and_grad(lambda *sources: loss(forward(*sources)), argnums=(0, 1))(
            weights, changed
        )
        jax.effects_barrier()
    return Traced(outputs[0], found, extract_gradients(gradients, net) or {})


def _originals(own: Any, layers: list[Any]) -> dict[int, object]:
    """The module of the network for each module of its copy, by the identity of the latter."""
    places = {layer.path: layer.layer for layer in layers}
    return {id(layer.layer): places[layer.path] for layer in iter_layers(own) or ()}


@contextlib.contextmanager
def _watching(originals: dict[int, object], calls: Calls, differentiate: bool) -> Iterator[None]:
    """With the ``__call__`` of every class of module wrapped."""
    with contextlib.ExitStack() as wrapped:
        for cls in {type(layer) for layer in originals.values() if callable(layer)}:
            if "__call__" in vars(cls):
                wrapped.callback(setattr, cls, "__call__", vars(cls)["__call__"])
            else:
                wrapped.callback(delattr, cls, "__call__")
            cls.__call__ = _told(cls, cls.__call__, originals, calls, differentiate)  # type: ignore[method-assign]
        yield


def _told(
    cls: type, function: Callable[..., Any], originals: dict[int, object], calls: Calls, differentiate: bool
) -> Callable[..., Any]:
    import jax

    def tap(call: Call, side: str, value: Any) -> Any:
        """The value, with its gradient told on the way back."""

        def tapped(place: Place, leaf: Any) -> Any:
            if not is_instance(leaf, "jax.Tracer") or not jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact):
                return leaf
            return on_gradient(leaf, functools.partial(calls.gradient, call, side, place))

        return mapped(value, tapped) if differentiate else value

    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        layer = originals.get(id(self))
        if layer is None or type(self) is not cls:  # a stranger, or called by the ``__call__`` of a subclass
            return function(self, *args, **kwargs)
        call, instead = calls.enter(layer, *_values((args, kwargs)))
        try:
            taps: Any = tap(call, "inputs", args), tap(call, "inputs", kwargs)
            if isinstance(instead, NewInputs):
                given = zip(taps, (instead.args, dict(instead.kwargs)), strict=True)
                taps, instead = tuple(replaced(old, new, _answered, call) for old, new in given), None
            output = function(self, *taps[0], **taps[1]) if instead is None else mapped(instead, _made)
        except Exception:
            calls.leave(layer, None)
            raise
        _, answer = calls.leave(layer, _values(output))
        if answer is not None:
            output = replaced(output, answer, _answered, call)
        return tap(call, "outputs", output)

    return wrapper


def _made(_: Place, leaf: Any) -> Any:
    return tensor_from_numpy(leaf, "jax") if isinstance(leaf, np.ndarray) else leaf


def _values(value: Any) -> Any:
    """Nested values with the numbers of what is being differentiated."""
    return mapped(value, lambda _, leaf: concrete(leaf))


def _answered(value: Any, leaf: Any) -> Any:
    import jax

    if isinstance(value, np.ndarray):
        value = tensor_from_numpy(value, "jax")
    if not is_instance(leaf, "jax.Tracer") or leaf.shape != value.shape or leaf.dtype != value.dtype:
        return value
    instead = jax.custom_vjp(lambda tensor: value)  # whose gradient goes to where the output came from
    instead.defvjp(lambda tensor: (value, None), lambda _, gradient: (gradient,))
    return instead(leaf)
