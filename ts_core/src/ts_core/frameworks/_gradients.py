"""The gradients of a network, by parameter name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.errors import ArgumentTypeError
from ts_core.frameworks._tensors import to_numpy

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
    from ts_core.frameworks._registry import no_plugin, registry

    found = registry().first("extract_gradients", source, source=source, net=net)
    if found is None and isinstance(source, Mapping):
        found = {str(name): gradient for name, gradient in source.items()}
    if found is None:
        raise ArgumentTypeError(f"no gradients to be found in this: {no_plugin(source)}")
    return {name: _own(gradient) for name, gradient in found.items()}


def _own(gradient: object) -> Array | None:
    return None if gradient is None else np.array(to_numpy(gradient))
