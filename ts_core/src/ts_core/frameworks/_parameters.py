"""The parameters of a network of any framework: read them, and put arrays back."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.layers import KINDS, REQUIRED
from ts_core.contract.nouns import LoadResult, Parameter, RawParameter
from ts_core.errors import ArgumentTypeError, LoadError, NotBuiltError, PluginError
from ts_core.frameworks._layers import LayerTable, layer_table, layers_by, name_in_files
from ts_core.frameworks._registry import no_plugin, registry
from ts_core.frameworks._tensors import to_numpy

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

Shape = tuple[int, ...]


def parameters(net: object) -> list[Parameter]:
    """Every parameter and buffer of a network, in definition order.

    Args:
        net: a network of a framework that has a plug-in.

    Returns:
        One :class:`~ts_core.contract.nouns.Parameter` each; a tensor that the network uses in several places comes once
        a place, and names the first one in ``tied_to``.

    Raises:
        ArgumentTypeError: no plug-in recognises the object as a network.
        NotBuiltError: the network has no parameters yet.
        PluginError: its plug-in answered something else than parameters.
    """
    return read_parameters(net)[1]


def read_parameters(net: object, layers: Mapping[str, object] | None = None) -> tuple[str, list[Parameter]]:
    """The plug-in that recognises a network, and the network's parameters; `layers`, by path, need not be asked for."""
    plugin, answer = registry().first_with_plugin("iter_parameters", net, net=net)
    if answer is None:
        raise not_a_network(net)
    info, table = registry().info(plugin), layer_table(registry(), plugin)
    layers = layers_by(registry(), plugin, net) if layers is None else layers
    owner_at = table.owners(layers)
    first: dict[int, str] = {}  # the identity of a tensor → the name of its first place
    found = []
    for raw in list(answer):  # a list keeps every tensor alive, so that no two share an identity
        if not isinstance(raw, RawParameter):
            raise PluginError(f"the plug-in {plugin!r}: iter_parameters yielded {raw!r}, not a RawParameter")
        owner = owner_at(raw.path)
        local = raw.path[len(owner.layer) + 1 :] if owner.layer else raw.path
        name = name_in_files(info, owner.layer, local, owner.rule) if raw.name is None else raw.name
        shape, dtype = _shape_and_dtype(raw.tensor)
        found.append(
            Parameter(
                name=name,
                shape=shape,
                dtype=dtype,
                path=raw.path,
                layer=owner.layer,
                kind=owner.kind,
                role=owner.role,
                trainable=raw.trainable,
                persistent=raw.persistent,
                tied_to=first.get(id(raw.tensor)),
                value=raw.tensor,
                layout=owner.layout,
            )
        )
        first.setdefault(id(raw.tensor), name)
    if not found:
        _require_built(net, table, layers)
    return plugin, found


def _require_built(net: object, table: LayerTable, layers: Mapping[str, object]) -> None:
    """A network without parameters has no layer of a kind that must have some."""
    for path, layer in layers.items():
        rule = table.rule(layer)
        if rule is not None and rule.kind in KINDS and REQUIRED in KINDS[rule.kind].roles.values():
            raise NotBuiltError(
                f"the {type(net).__qualname__} has no parameters yet, although its layer {path!r} is a {rule.kind}: "
                "build the network first, for instance by calling it once"
            )


def _shape_and_dtype(tensor: Any) -> tuple[Shape, np.dtype[Any]]:
    """What a tensor says of itself, which one without data does as well; else what its array says."""
    shape, dtype = getattr(tensor, "shape", None), _dtype_spelled(str(getattr(tensor, "dtype", "")))
    if shape is None or dtype is None:
        array = to_numpy(tensor)
        return array.shape, array.dtype
    return tuple(shape), dtype


@functools.cache
def _dtype_spelled(text: str) -> np.dtype[Any] | None:
    """The dtype that a framework calls so: ``torch.float8_e4m3fn``, ``Float8E4M3FN``, ``BFloat16``, ``Bool``."""
    return _dtypes().get(_plain(text.rpartition(".")[2]))


@functools.cache
def _dtypes() -> dict[str, np.dtype[Any]]:
    import ml_dtypes

    extended = [member for member in vars(ml_dtypes).values() if isinstance(member, type)]
    native = [np.dtype(character) for character in "?bhilqBHILQefdFD"]
    known = [*(np.dtype(member) for member in extended if issubclass(member, np.generic)), *native]
    return {_plain(dtype.name): dtype for dtype in known}


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def load_parameters(net: object, tensors: Mapping[str, Any], *, strict: bool = True) -> LoadResult:
    """Put arrays, or tensors of any framework, into a network by name.

    Args:
        net: a network of a framework that has a plug-in.
        tensors: the network's own names → arrays of the network's shapes; the dtype is cast to the parameter's. Of
            tied parameters one name is enough.
        strict: raise when a name is missing or unexpected or a shape differs; the network is then unchanged.

    Returns:
        What was loaded, and (when not strict) what was not. Its ``network`` is the one that holds the arrays: of a
        framework whose networks cannot change a new one, and the one that was given is as it was.

    Raises:
        ArgumentTypeError: no plug-in recognises the object as a network.
        LoadError: strict, and something does not fit; the message lists what.
        PluginError: its plug-in does not load parameters.
    """
    arrays = {name: to_numpy(tensor) for name, tensor in tensors.items()}  # all of them, before anything changes
    plugin, known = read_parameters(net)
    places = [parameter for parameter in known if parameter.persistent]
    result = _fit(places, {name: array.shape for name, array in arrays.items()})
    if strict and not result:
        raise LoadError(_explain(result))
    first: dict[int, Parameter] = {}
    for parameter in known:
        first.setdefault(id(parameter.value), parameter)
    loaded = set(result.loaded)  # of several arrays for one tensor, the last
    chosen = {id(p.value): (first[id(p.value)], arrays[p.name]) for p in places if p.name in loaded}
    answer = registry().ask(plugin, "load_parameters", net=net, arrays=_Cast(chosen.values()))
    if answer is None:
        raise PluginError(f"the plug-in {plugin!r} does not load parameters into a {type(net).__qualname__}")
    return dataclasses.replace(result, network=answer)


class _Cast(Mapping[str, "Array"]):
    """Path → array in the dtype of the parameter, cast when it is asked for."""

    def __init__(self, chosen: Iterable[tuple[Parameter, Array]]) -> None:
        self._arrays = {place.path: (place.dtype, array) for place, array in chosen}

    def __getitem__(self, path: str) -> Array:
        dtype, array = self._arrays[path]
        return array.astype(dtype, copy=False)

    def __contains__(self, path: object) -> bool:  # without a cast
        return path in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _fit(places: Iterable[Parameter], shapes: Mapping[str, Shape]) -> LoadResult:
    """What would be loaded into these places, and what does not fit."""
    places = list(places)
    names = dict.fromkeys(place.name for place in places)
    given = {place.tied_to or place.name for place in places if place.name in shapes}
    lacking = [p.name for p in places if p.name not in shapes and (p.tied_to or p.name) not in given]
    mismatched = {p.name: (p.shape, shapes[p.name]) for p in places if shapes.get(p.name, p.shape) != p.shape}
    return LoadResult(
        loaded=tuple(name for name in names if name in shapes and name not in mismatched),
        missing=tuple(dict.fromkeys(lacking)),
        unexpected=tuple(name for name in shapes if name not in names),
        mismatched=mismatched,
    )


def _explain(result: LoadResult) -> str:
    lines = ["the arrays do not fit the network, which is unchanged:"]
    lines += [f"  missing: {name}" for name in result.missing]
    lines += [f"  unexpected: {name}" for name in result.unexpected]
    lines += [
        f"  {name}: the network has {ours}, the array {theirs}" for name, (ours, theirs) in result.mismatched.items()
    ]
    return "\n".join(lines)


def not_a_network(given: object) -> ArgumentTypeError:
    advice = ""
    if isinstance(given, type):
        advice = f"; it is the class {given.__qualname__}: give an instance of it"
    elif isinstance(given, str | os.PathLike):
        advice = "; it is a path: give the network itself, or go from file to file with ts.convert"
    elif hasattr(given, "shape"):
        advice = "; it is one tensor: give a dict, {'name': tensor}"
    return ArgumentTypeError(f"not a network: {no_plugin(given)}{advice}")
