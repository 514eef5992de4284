"""Translating names by layer rules alone: what the source's names would be in another framework."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ts_core.contract.nouns import Parameter
from ts_core.contract.readers import LazyTensors
from ts_core.contract.transforms import Each, Transform, chain
from ts_core.mapping._inference import Kind, Reading, read_layers
from ts_core.mapping._names import wrapper_note, wrapper_prefix
from ts_core.mapping._nouns import CERTAIN, ERROR, HARMLESS, LIKELY, UNKNOWN_LAYER, Ambiguity, MapEntry, Unmatched
from ts_core.mapping._rules import layer_rules
from ts_core.mapping._spelling import Known, Shape, Spelled, Speller, roles_of
from ts_core.mapping._weight_map import WeightMap
from ts_core.sources import NetworkTensors

_SHOWN = 3  # names that a note lists


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor, and where layer rules put it: several ways to read a file give several places, no rule none.

    `likely` are those that go with the rest of the file, where it tells; `doubtful`: it may belong to no known layer.
    """

    name: str
    shape: Shape
    places: tuple[Known, ...]
    likely: tuple[Known, ...] = ()
    doubtful: bool = False


def translate(source: LazyTensors, framework: str) -> WeightMap:
    """The names that a network of the same structure would have in another framework.

    A tensor whose layer no rule knows keeps its name, and the map says so. One whose kind of layer, or whose role, the
    other framework lacks has no partner, which is an error. What a file leaves open, and the frameworks spell
    differently, is listed as ambiguous.

    Args:
        source: a network or a checkpoint, opened.
        framework: the name of the framework to translate to.

    Raises:
        ArgumentError: no plug-in knows the framework.
    """
    prefix = wrapper_prefix(source)
    notes = [wrapper_note(prefix)] if prefix else []

    def renamed(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name.removeprefix(prefix) for name in names)

    spell = Speller(framework)
    entries, open_, lacking = [], [], []
    taken: list[str] = []  # by the company of other layers
    unknown: list[str] = []
    parts: dict[str, dict[int, tuple[str, Spelled]]] = {}  # a tensor that joins several → its share → where that is
    for tensor in _tensors(source):
        name = tensor.name
        if not tensor.places:
            unknown.append(name)
            entries.append(MapEntry((name,), renamed([name]), None, UNKNOWN_LAYER, LIKELY))
            continue
        results = _results(tensor.places, spell)
        if tensor.doubtful:
            results.setdefault(Spelled((name,)), "an unknown layer")
        likely = _results(tensor.likely, spell)
        by_company = len(results) > 1 and len(likely) == 1
        if by_company:
            results = likely
            taken.append(name)
        if all(result.lacking for result in results):
            first = next(iter(results))
            lacking.append(Unmatched(name, tensor.shape, first.lacking, severity=HARMLESS if first.idle else ERROR))
            continue
        if len(results) > 1:
            kinds = ", ".join(f"{kind} ({', '.join(renamed(result.names))})" for result, kind in results.items())
            targets = tuple(dict.fromkeys(target for result in results for target in renamed(result.names)))
            open_.append(Ambiguity((name,), targets, f"a file alone does not tell what it is: {kinds}"))
            continue
        (result,) = results
        if result.of > 1 or result.join is not None:
            parts.setdefault(result.names[0], {})[result.share] = (name, result)
            continue
        certainty = LIKELY if by_company else CERTAIN
        entries.append(MapEntry((name,), renamed(result.names), result.transform, "rule", certainty))
    for target, shares in parts.items():
        joined = _join(target, shares)
        if isinstance(joined, MapEntry):
            entries.append(replace(joined, target=renamed([target])))
        else:
            open_.append(replace(joined, target=renamed([target])))
    if taken:
        told = f"the number of dimensions of {len(taken)} tensors was taken from the other layers of the file"
        notes.append(f"{told}: {_some(taken)}")
    if unknown:
        told = f"{len(unknown)} of {len(source)} tensors belong to no layer that a rule knows; their names are kept"
        notes.append(f"{told}: {_some(unknown)}")
    return WeightMap(entries, unmatched_source=lacking, ambiguous=open_, order=source, notes=notes)


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"


def _join(target: str, shares: Mapping[int, tuple[str, Spelled]]) -> MapEntry | Ambiguity:
    """One tensor from those that hold its shares; without all of them, and alike, nobody can say what it is."""
    found = [shares[number] for number in sorted(shares)]
    names, results = tuple(name for name, _ in found), [result for _, result in found]
    ways = {result.transform for result in results}
    if len(found) < results[0].of or len(ways) > 1:
        return Ambiguity(
            names, (target,), "one tensor joins it with others, which the source lacks or stores otherwise"
        )
    (way,) = ways
    return MapEntry(names, (target,), chain(Each(way) if way else None, results[0].join), "rule")


def _results(places: Iterable[Known], spell: Speller) -> dict[Spelled, str]:
    """The different outcomes of several ways to read a tensor, each with the first kind that leads to it."""
    results: dict[Spelled, str] = {}
    for place in places:
        results.setdefault(spell(place), place.kind)
    return results


def _tensors(source: LazyTensors) -> Iterator[_Tensor]:
    """The tensors of a source, each with every place that it may have."""
    if isinstance(source, NetworkTensors):
        yield from _of_network(list(_persistent(source.parameters)))
        return
    found: dict[str, _Tensor] = {}
    for reading in read_layers(source.index, layer_rules(source)):
        shapes = {name: source.index[name].shape for name in reading.names.values()}
        readings = [(kind, _present(reading, kind, shapes), kind in reading.likely) for kind in reading.kinds]
        for local, name in reading.names.items():
            places = [
                (Known(name, reading.layer, kind.kind, roles_of(role), kind.layout.get(role), present), likely)
                for kind, present, likely in readings
                for role in (kind.roles[local],)
            ]
            every, some = (tuple(place for place, likely in places if likely or all_) for all_ in (True, False))
            found[name] = _Tensor(name, shapes[name], every, some, reading.doubtful)
    yield from (found[name] for name in source)


def _of_network(parameters: Sequence[Parameter]) -> Iterator[_Tensor]:
    present: dict[str, dict[str, Shape]] = defaultdict(dict)
    for p in parameters:
        present[p.layer].update(_canonical(roles_of(p.role), p.layout, p.shape))
    for p in parameters:
        roles = roles_of(p.role)
        known = p.kind is not None and bool(roles)
        places = (Known(p.name, p.layer, str(p.kind), roles, p.layout, present[p.layer]),) if known else ()
        yield _Tensor(p.name, p.shape, places)


def _present(reading: Reading, kind: Kind, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for local, role in kind.roles.items():
        found.update(_canonical(roles_of(role), kind.layout.get(role), shapes[reading.names[local]]))
    return found


def _canonical(roles: Sequence[str], layout: Transform | None, shape: Shape) -> dict[str, Shape]:
    """Role → the shape of its canonical array."""
    return dict(zip(roles, layout.inverse().shapes(shape) if layout else (shape,), strict=False))


def _persistent(parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    seen = set()
    for parameter in parameters:
        if parameter.persistent and parameter.name not in seen:
            seen.add(parameter.name)
            yield parameter
