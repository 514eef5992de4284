"""The modules of a Flax NNX network, and everything else that is found in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ts_core.contract import Layer, is_instance
from ts_core.contract.hooks import hookimpl

MODULE = "flax.nnx.Module"
_LIST = "flax.nnx.List"


@hookimpl
def iter_layers(net: object) -> Iterator[Layer] | None:
    """Every module, in the order in which attributes were assigned.

    Flax's own transformations put the attributes of a module into alphabetical order.
    """
    if not is_instance(net, MODULE):
        return None
    return (Layer(path, node, _training(node)) for path, node in walk(net) if is_instance(node, MODULE))


def _training(node: Any) -> bool | None:
    """Only some layers have a mode: what drops, and what keeps statistics."""
    evaluates = getattr(node, "deterministic", getattr(node, "use_running_average", None))
    return None if evaluates is None else not evaluates


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every module, container and variable below a module, under every path that leads to it."""
    yield path, node
    if is_instance(node, _LIST) or isinstance(node, list | tuple):
        inside = {f"{position}": value for position, value in enumerate(node)}
    elif is_instance(node, MODULE):
        inside = {name: value for name, value in vars(node).items() if not name.startswith("_pytree__")}
    elif isinstance(node, dict):
        inside = node
    else:
        return
    for name, value in inside.items():
        yield from walk(value, f"{path}.{name}" if path else name)
