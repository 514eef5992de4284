"""Gradients that a grad function returned without names, by the names of their parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ts_core.errors import ArgumentError


def named(gradients: Iterable[Any], places: Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
    """Gradients by the names of the parameters they belong to, in order.

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
