"""The parameters of a network of any framework: read them, and put arrays back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract.nouns import LoadResult, Parameter
from ts_core.errors import ArgumentTypeError, LoadError
from ts_core.frameworks._registry import no_plugin, registry
from ts_core.frameworks._tensors import to_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def parameters(net: object) -> list[Parameter]:
    """Every parameter and buffer of a network, in definition order.

    Args:
        net: a network of a framework that has a plug-in.

    Returns:
        One :class:`~ts_core.contract.nouns.Parameter` each; a tensor that the network uses in several places comes once
        a place, and names the first one in ``tied_to``.

    Raises:
        ArgumentTypeError: no plug-in recognises the object as a network.
    """
    found = registry().first("iter_parameters", net, net=net)
    if found is None:
        raise _not_a_network(net)
    return list(found)


def load_parameters(net: object, tensors: Mapping[str, Any], *, strict: bool = True) -> LoadResult:
    """Put arrays, or tensors of any framework, into a network by name.

    Args:
        net: a network of a framework that has a plug-in.
        tensors: the network's own names → arrays of the network's shapes; the dtype is cast to the parameter's.
        strict: raise when a name is missing or unexpected or a shape differs; the network is then unchanged.

    Returns:
        What was loaded, and (when not strict) what was not.

    Raises:
        ArgumentTypeError: no plug-in recognises the object as a network.
        LoadError: strict, and something does not fit; the message lists what.
    """
    arrays = {name: to_numpy(tensor) for name, tensor in tensors.items()}
    result: LoadResult | None = registry().first("load_parameters", net, net=net, tensors=arrays, strict=strict)
    if result is None:
        raise _not_a_network(net)
    if strict and not result:
        raise LoadError(_explain(result))
    return result


def _not_a_network(given: object) -> ArgumentTypeError:
    advice = ""
    if isinstance(given, type):
        advice = f"; it is the class {given.__qualname__}: give an instance of it"
    elif isinstance(given, str | os.PathLike):
        advice = "; it is a path: give the network itself, or go from file to file with ts.convert"
    elif hasattr(given, "shape"):
        advice = "; it is one tensor: give a dict, {'name': tensor}"
    return ArgumentTypeError(f"not a network: {no_plugin(given)}{advice}")


def check_fit(parameters: Iterable[Parameter], tensors: Mapping[str, Array]) -> LoadResult:
    """What would be loaded into these parameters, and what does not fit: the part of loading that is everybody's.

    Of tied parameters one name is enough. Plug-ins build their ``load_parameters`` on this.
    """
    places = {parameter.name: parameter for parameter in parameters if parameter.persistent}
    given = {place.tied_to or name for name, place in places.items() if name in tensors}
    fitting = {name for name, place in places.items() if name in tensors and tensors[name].shape == place.shape}
    return LoadResult(
        loaded=tuple(name for name in places if name in fitting),
        missing=tuple(name for name, p in places.items() if name not in tensors and (p.tied_to or name) not in given),
        unexpected=tuple(name for name in tensors if name not in places),
        mismatched={
            name: (place.shape, tensors[name].shape)
            for name, place in places.items()
            if name in tensors and name not in fitting
        },
    )


def _explain(result: LoadResult) -> str:
    lines = ["the arrays do not fit the network, which is unchanged:"]
    lines += [f"  missing: {name}" for name in result.missing]
    lines += [f"  unexpected: {name}" for name in result.unexpected]
    lines += [
        f"  {name}: the network has {ours}, the array {theirs}" for name, (ours, theirs) in result.mismatched.items()
    ]
    return "\n".join(lines)
