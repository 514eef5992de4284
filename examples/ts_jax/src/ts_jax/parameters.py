"""The variables of a Flax NNX module: read them, and put arrays back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LoadResult, Parameter
from ts_core.contract.recognition import is_instance
from ts_core.frameworks import LayerTable, check_fit
from ts_jax.layers import RULES
from ts_jax.tensors import tensor_from_numpy

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

MODULE = "flax.nnx.Module"
_LIST = "flax.nnx.List"
_VARIABLE = "flax.nnx.Variable"
_TRAINABLE = "flax.nnx.Param"
_RANDOM = "flax.nnx.RngState"  # keys and counters of dropout: state of a run, not of a network
_TRANSIENT = ("flax.nnx.Cache", "flax.nnx.Intermediate", "flax.nnx.Perturbation")
_TABLE = LayerTable(RULES)


@hookimpl
def iter_parameters(net: object) -> Iterator[Parameter] | None:
    """The variables of every module, named by their attributes, in the order in which these were assigned.

    Flax's own transformations put the attributes of a module into alphabetical order.
    """
    return _parameters(net) if is_instance(net, MODULE) else None


def _parameters(net: object) -> Iterator[Parameter]:
    places = list(_walk(net, ""))
    layers = {path: node for path, node in places if is_instance(node, MODULE)}
    first: dict[int, str] = {}
    for name, variable in places:
        if not is_instance(variable, _VARIABLE) or is_instance(variable, _RANDOM):
            continue
        owner = _TABLE.owner(name, layers)
        value = variable.get_value()
        yield Parameter(
            name=name,
            shape=tuple(value.shape),
            dtype=np.dtype(value.dtype),
            path=name,
            layer=owner.layer,
            kind=owner.kind,
            role=owner.role,
            trainable=is_instance(variable, _TRAINABLE),
            persistent=not is_instance(variable, *_TRANSIENT),
            tied_to=first.get(id(variable)),
            value=variable,
            layout=owner.layout,
        )
        first.setdefault(id(variable), name)


def _walk(node: Any, path: str) -> Iterator[tuple[str, Any]]:
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
        yield from _walk(value, f"{path}.{name}" if path else name)


@hookimpl
def load_parameters(net: object, tensors: Mapping[str, Array], strict: bool) -> LoadResult | None:
    """Set the variables, casting to their dtype; nothing is set before everything was checked."""
    if not is_instance(net, MODULE):
        return None
    places = {parameter.name: parameter for parameter in _parameters(net)}
    result = check_fit(places.values(), tensors)
    if result or not strict:
        for name in result.loaded:
            place = places[name]
            value = tensor_from_numpy(tensors[name].astype(place.dtype, copy=False), "jax")
            place.value.set_value(value)  # type: ignore[attr-defined]
    return result
