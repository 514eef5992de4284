"""Gradients: JAX returns them from a transformed function, shaped like what it differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract.errors import ArgumentTypeError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance
from ts_jax.networks import MODULE
from ts_jax.parameters import raw_parameters

if TYPE_CHECKING:
    import jax


@hookimpl
def extract_gradients(source: object, net: object | None) -> Mapping[str, Any] | None:
    """The state that ``nnx.grad`` returned, by parameter name; in definition order when the module is given."""
    if is_instance(source, MODULE):
        raise ArgumentTypeError("a Flax module keeps no gradients: pass what nnx.grad returned, and the module as net=")
    if not is_instance(source, "flax.nnx.State"):
        return None
    found = dict(_leaves(source, ""))
    if net is None:
        return found
    places: dict[int, list[str]] = {}  # a variable that is used twice has its gradient under one of its paths
    for parameter in raw_parameters(net):
        if parameter.trainable:
            places.setdefault(id(parameter.tensor), []).append(parameter.path)
    return {paths[0]: next((found[path] for path in paths if path in found), None) for paths in places.values()}


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, inner in node.items():
            yield from _leaves(inner, f"{path}.{name}" if path else f"{name}")
    else:
        yield path, node


@hookimpl
def on_gradient(tensor: object, callback: Callable[[object], object]) -> jax.Array | None:
    """The same value; on the way back its gradient is handed to `callback`, inside ``jax.jit`` as well."""
    if not is_instance(tensor, "jax.Array", "jax.Tracer"):
        return None
    import jax

    watched = jax.custom_vjp(lambda value: value)

    def backward(_: None, gradient: Any) -> tuple[Any]:
        jax.debug.callback(callback, gradient)
        return (gradient,)

    watched.defvjp(lambda value: (value, None), backward)
    answer: jax.Array = watched(tensor)
    return answer
