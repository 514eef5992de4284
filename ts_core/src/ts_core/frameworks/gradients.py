"""The gradients of a network, by parameter name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.errors import ArgumentError, ArgumentTypeError
from ts_core.frameworks.tensors import to_numpy

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


def gradients(source: object, net: object | None = None) -> dict[str, Array | None]:
    """The gradients of the parameters of a network, by name, as arrays of their own memory.

    Args:
        source: where the gradients are: a torch network after ``backward()``; what a grad function of the framework
            returned (``torch.autograd.grad``, ``mindspore.value_and_grad`` with or without its loss, with or without
            ``return_ids``); or a mapping of names to gradients (``torch.func.grad``).
        net: names the gradients of a grad function, which come without names: the network, whose trainable parameters
            they belong to in definition order; or the parameters that were given to the grad function, in their order.

    Returns:
        Parameter name → gradient, of the parameter's shape; None where there is no gradient (a frozen parameter, one
        that the loss does not depend on).

    Raises:
        ArgumentTypeError: no plug-in recognises gradients in `source`.
        ArgumentError: gradients without names and no `net`; or the two do not belong together.
    """
    from ts_core.frameworks.registry import no_plugin, registry

    found = registry().first("extract_gradients", source, source=source, net=net)
    if found is None and isinstance(source, Mapping):
        found = {str(name): gradient for name, gradient in source.items()}
    if found is None:
        raise ArgumentTypeError(f"no gradients to be found in this: {no_plugin(source)}")
    return {name: _own(gradient) for name, gradient in found.items()}


def named(gradients: Iterable[Any], places: Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
    """Gradients by the names of the parameters they belong to, in order. For plug-ins.

    Args:
        gradients: one tensor a parameter, with a ``shape``; or None.
        places: the name of each parameter, and the parameter or anything else that has its ``shape``.

    Raises:
        ArgumentError: no parameters, more or fewer of them, or other shapes.
    """
    if places is None:
        raise ArgumentError("these gradients have no names: pass the network, or its parameters, as `net`")
    values, places = list(gradients), list(places)
    advice = "pass as `net` the very parameters that the grad function was given"
    if len(values) != len(places):
        raise ArgumentError(f"{len(values)} gradients for {len(places)} parameters: {advice}")
    for value, (name, parameter) in zip(values, places, strict=True):
        if value is not None and tuple(value.shape) != tuple(parameter.shape):
            shapes = f"{tuple(value.shape)}, the parameter {tuple(parameter.shape)}"
            raise ArgumentError(f"the gradient in the place of {name} has the shape {shapes}: {advice}")
    return {name: value for (name, _), value in zip(places, values, strict=True)}


def _own(gradient: object) -> Array | None:
    return None if gradient is None else np.array(to_numpy(gradient))
