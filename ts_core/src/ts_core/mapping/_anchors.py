"""The layers that a weight map pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ts_core.contract.nouns import Parameter
from ts_core.mapping._matching import match
from ts_core.mapping._units import units_of_parameters
from ts_core.mapping._weight_map import WeightMap


def anchors(
    weight_map: WeightMap,
    source: Mapping[str, Sequence[str]],
    target: Mapping[str, Sequence[str]],
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The layers that a weight map pairs.

    Args:
        weight_map: from the names of the one network to those of the other.
        source: name of a parameter → the paths of the layers that have it (several when it is tied).
        target: the same of the target.

    Returns:
        Layers that belong to each other alone, source → target; and pairs of which one side is several layers: the
        projections of an attention that the other side has in one.
    """
    partners: dict[str, dict[str, int]] = defaultdict(dict)
    owned: dict[str, dict[str, int]] = defaultdict(dict)
    for entry in weight_map.entries:
        for name in entry.source:
            for becomes in entry.target:
                # of tied tensors the n-th place belongs to the n-th
                for a, b in zip(source.get(name, ()), target.get(becomes, ()), strict=False):
                    partners[a][b] = owned[b][a] = 1
    alone = {a: next(iter(bs)) for a, bs in partners.items() if len(bs) == 1 and len(owned[next(iter(bs))]) == 1}
    shared = [(a, b) for a, bs in partners.items() for b in bs if alone.get(a) != b]
    return alone, shared


def match_parameters(source: Iterable[Parameter], target: Iterable[Parameter]) -> WeightMap:
    """The weight map between two networks that are known by their parameters, whose values need not be there.

    Raises:
        WeightMapError: the two have next to nothing in common.
    """
    return match(units_of_parameters(source), units_of_parameters(target))


def owners(parameters: Iterable[Parameter], opened: Iterable[str] = ()) -> dict[str, list[str]]:
    """Name of a parameter → the paths of the layers that own it; of an `opened` layer the part of it that does."""
    inner = set(opened)
    found: dict[str, list[str]] = defaultdict(list)
    for one in parameters:
        if one.persistent:
            layer = one.path.rpartition(".")[0] if one.layer in inner else one.layer
            found[one.tied_to or one.name].append(layer)
            if one.tied_to and one.tied_to != one.name:
                found[one.name].append(layer)
    return found
