"""Which layer of two described networks is which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ts_core.configuration._description import NetworkSettings
from ts_core.contract.layers import COUNTER, KINDS
from ts_core.contract.nouns import Parameter
from ts_core.errors import SettingsError, WeightMapError
from ts_core.frameworks import ToldLayer
from ts_core.mapping import LayerPairs, WeightMap, anchors, match_parameters, owners, pair_layers


class Paired(NamedTuple):
    """Two networks, layer by layer.

    Attributes:
        found: the pairs, and what has no partner.
        layers: path → layer, of the source and of the target.
        in_parts: paths of layers that the other side has as several, or in another one: of the source, of the target.
    """

    found: LayerPairs
    layers: tuple[dict[str, ToldLayer], dict[str, ToldLayer]]
    in_parts: tuple[frozenset[str], frozenset[str]]


def paired(
    source: NetworkSettings,
    target: NetworkSettings,
    weight_map: WeightMap | None = None,
    orders: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Paired:
    """Pair the layers of two networks.

    Args:
        source: the one.
        target: the other.
        weight_map: from the names of the one to those of the other; by default it is found.
        orders: paths of layers as they run, of both; by default they stand as they are defined.

    Raises:
        SettingsError: the two have next to nothing in common, or the map is none of these networks.
    """
    alone, several = _anchors(source, target, weight_map, ((), ()))
    opened = _composites(source, {a for a, _ in several}), _composites(target, {b for _, b in several})
    if any(opened):
        alone, several = _anchors(source, target, weight_map, opened)
    sides = [_shown(side, inner) for side, inner in zip((source, target), opened, strict=True)]
    if orders is not None:
        sides = [_in_order(side, order) for side, order in zip(sides, orders, strict=True)]
    found = pair_layers(sides[0], sides[1], alone, several)
    layers = tuple({layer.path: layer for layer in side} for side in sides)
    in_parts = frozenset(a for a, _ in several), frozenset(b for _, b in several)
    return Paired(found, (layers[0], layers[1]), in_parts)


def _anchors(
    source: NetworkSettings,
    target: NetworkSettings,
    weight_map: WeightMap | None,
    opened: tuple[Iterable[str], Iterable[str]],
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    ours, theirs = owners(source.parameters, opened[0]), owners(target.parameters, opened[1])
    if weight_map is not None:
        for side, known, names in ((source, ours, weight_map.by_source), (target, theirs, weight_map.by_target)):
            if names and not any(name in known for name in names):
                raise SettingsError(
                    f"the weight map belongs to other networks: {side.name} has no parameter {next(iter(names))!r}, "
                    "nor any other of the map"
                )
        return anchors(weight_map, ours, theirs)
    if not ours or not theirs:
        return {}, []
    if not any(opened):
        alike = _of_equal_paths(source.parameters, target.parameters)
        if alike is not None:
            return alike, []
    try:
        return anchors(match_parameters(source.parameters, target.parameters), ours, theirs)
    except WeightMapError as problem:
        raise SettingsError(f"{source.name} and {target.name} cannot be compared: {problem}") from problem


def _of_equal_paths(source: Iterable[Parameter], target: Iterable[Parameter]) -> dict[str, str] | None:
    """Layers of equal paths, where all of both sides have equal paths, families, roles and shapes."""
    ours, theirs = _made_of(source), _made_of(target)
    return {path: path for path in ours} if ours == theirs else None


def _made_of(parameters: Iterable[Parameter]) -> dict[str, set[tuple[object, ...]]]:
    found: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    for one in parameters:
        if not one.persistent:
            continue
        kind = KINDS.get(one.kind or "")
        if kind is not None and isinstance(one.role, str) and kind.roles.get(one.role) == COUNTER:
            continue
        shapes = one.layout.inverse().shapes(one.shape) if one.layout else (one.shape,)
        sizes = tuple([tuple([size for size in shape if size != 1]) for shape in shapes])
        found[one.layer].add((kind.family if kind else None, one.role or one.path, sizes))
    return found


def _composites(side: NetworkSettings, paths: set[str]) -> frozenset[str]:
    """Those of the layers that have parts which are layers of a known kind."""
    return frozenset(one.part_of for one in side.layers if one.part_of in paths and one.kind is not None)


def _shown(side: NetworkSettings, opened: frozenset[str]) -> list[ToldLayer]:
    """The layers that do something; of an `opened` one its parts."""
    return [
        one
        for one in side.layers
        if one.path not in opened
        and (one.part_of is None or one.part_of in opened)
        and (one.kind is not None or one.leaf)
    ]


def _in_order(layers: Sequence[ToldLayer], paths: Sequence[str]) -> list[ToldLayer]:
    """As they run first; what does not run stays behind the one before it."""
    place = {path: number for number, path in enumerate(paths)}
    latest, ranks = -1, {}
    for layer in layers:
        latest = ranks[layer.path] = place.get(layer.same_as or layer.path, latest)
    return sorted(layers, key=lambda layer: ranks[layer.path])
