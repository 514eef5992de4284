"""Translating names by layer rules alone: what the source's names would be in another framework."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ts_core.contract.nouns import LayerRule, Parameter, Role
from ts_core.contract.readers import LazyTensors
from ts_core.contract.transforms import Each, Transform, chain
from ts_core.errors import WeightMapError
from ts_core.frameworks import framework_called, name_in_files, registry, require_framework
from ts_core.mapping._inference import read_layers
from ts_core.mapping._names import wrapper_note, wrapper_prefix
from ts_core.mapping._nouns import CERTAIN, LIKELY, Ambiguity, MapEntry
from ts_core.mapping._rules import layer_rules
from ts_core.mapping._unstacking import STACKS, cell_role
from ts_core.mapping._weight_map import WeightMap
from ts_core.sources import NetworkTensors

_SHOWN = 3  # names that a note lists


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor, and where a layer rule puts it: several ways to read a file give several of these.

    Its `roles` are several where it holds what they are joined; `alone`: its layer is no stack of several.
    """

    name: str
    path: str
    layer: str
    kind: str | None = None
    roles: tuple[str, ...] = ()
    layout: Transform | None = None
    alone: bool = False
    likely: bool = False


@dataclass(frozen=True, slots=True)
class _Result:
    """What a tensor becomes: other names, by a transform; or share number `share` of `of` that one tensor joins."""

    names: tuple[str, ...]
    transform: Transform | None = None
    share: int = 0
    of: int = 1
    join: Transform | None = None


def translate(source: LazyTensors, framework: str) -> WeightMap:
    """The names that a network of the same structure would have in another framework.

    A tensor whose layer no rule knows, or whose role the other framework's layer lacks, keeps its name. What a file
    leaves open, and the frameworks spell differently, is listed as ambiguous.

    Args:
        source: a network or a checkpoint, opened.
        framework: the name of the framework to translate to.

    Raises:
        ArgumentError: no plug-in knows the framework.
        WeightMapError: the framework's layout of a layer depends on more than its kind.
    """
    prefix = wrapper_prefix(source)
    notes = [wrapper_note(prefix)] if prefix else []

    def rename(name: str) -> str:
        return name.removeprefix(prefix)

    spell = _speller(framework)
    entries, open_ = [], []
    parts: dict[str, dict[int, tuple[str, _Result]]] = {}  # a tensor that joins several → its share → where that is
    for places in _places(source):
        name, certainty = places[0].name, CERTAIN
        results = _results(places, spell)
        likely = [place for place in places if place.likely]
        if len(results) > 1 and likely:
            results, certainty = _results(likely, spell), LIKELY
        if len(results) > 1:
            kinds = ", ".join(f"{kind} ({', '.join(map(rename, result.names))})" for result, kind in results.items())
            targets = tuple(dict.fromkeys(rename(target) for result in results for target in result.names))
            open_.append(Ambiguity((name,), targets, f"a file alone does not tell what it is: {kinds}"))
            continue
        (result,) = results
        if result.of > 1:
            parts.setdefault(result.names[0], {})[result.share] = (name, result)
            continue
        entries.append(MapEntry((name,), tuple(map(rename, result.names)), result.transform, "rule", certainty))
    for target, shares in parts.items():
        joined = _join(target, shares)
        if isinstance(joined, MapEntry):
            entries.append(replace(joined, target=(rename(target),)))
        else:
            open_.append(replace(joined, target=(rename(target),)))
    taken = [entry.source[0] for entry in entries if entry.certainty == LIKELY]
    if taken:
        notes.append(
            f"the number of dimensions of {len(taken)} tensors was taken from the other layers of the file: "
            f"{', '.join(taken[:_SHOWN])}{', ...' if len(taken) > _SHOWN else ''}"
        )
    return WeightMap(entries, ambiguous=open_, order=source, notes=notes)


def _join(target: str, shares: Mapping[int, tuple[str, _Result]]) -> MapEntry | Ambiguity:
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


def _results(places: Iterable[_Place], spell: Callable[[_Place], _Result]) -> dict[_Result, str | None]:
    """The different outcomes of several ways to read a tensor, each with the first kind that leads to it."""
    results: dict[_Result, str | None] = {}
    for place in places:
        results.setdefault(spell(place), place.kind)
    return results


def _roles(role: Role | None) -> tuple[str, ...]:
    return role if isinstance(role, tuple) else (role,) if role else ()


def _alone(roles: Iterable[Role | None]) -> bool:
    """Whether a layer of these roles is a stack of one, in one direction."""
    return {cell_role(one)[1] for role in roles for one in _roles(role)} == {"l0"}


def _places(source: LazyTensors) -> Iterator[list[_Place]]:
    """For each tensor, every place that it may have."""
    if isinstance(source, NetworkTensors):
        roles: dict[str, list[Role | None]] = defaultdict(list)
        for p in source.parameters:
            roles[p.layer].append(p.role)
        alone = {layer: _alone(own) for layer, own in roles.items()}
        for p in _persistent(source.parameters):
            yield [_Place(p.name, p.path, p.layer, p.kind, _roles(p.role), p.layout, alone[p.layer])]
        return
    places: dict[str, list[_Place]] = {}
    for reading in read_layers(source.index, layer_rules(source)):
        for local, name in reading.names.items():
            places[name] = [
                _Place(
                    *(name, name, reading.layer, kind.kind, _roles(role), kind.layout.get(role)),
                    _alone(kind.roles.values()),
                    kind in reading.likely,
                )
                for kind in reading.kinds
                for role in (kind.roles[local],)
            ] or [_Place(name, name, reading.layer)]
    yield from (places[name] for name in source)


def _persistent(parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    seen = set()
    for parameter in parameters:
        if parameter.persistent and parameter.name not in seen:
            seen.add(parameter.name)
            yield parameter


def _speller(framework: str) -> Callable[[_Place], _Result]:
    """How the framework calls a parameter and stores it."""
    tables = registry().each("layer_rules")
    if framework not in tables:
        require_framework(framework)
    info = framework_called(framework)
    spellings: dict[str, tuple[LayerRule, dict[str, tuple[str, Role]]]] = {}
    for rule in tables.get(framework, ()):
        if rule.kind not in spellings and rule.roles:
            homes = {one: (local, role) for local, role in rule.roles.items() for one in _roles(role)}
            spellings[rule.kind] = (rule, homes)

    def layout(rule: LayerRule, place: _Place, role: Role) -> Transform | None:
        known = rule.layout.get(role)
        if callable(known):
            raise WeightMapError(
                f"{place.name}: how {framework} stores a {rule.kind} depends on the layer: give the target network"
            )
        return known

    def spell(place: _Place) -> _Result:
        kind, roles = _spelled_kind(place, spellings)
        rule, homes = spellings.get(kind, (None, {}))
        found = [homes[role] for role in roles if role in homes]
        if rule is None or not found or len(found) < len(roles):
            return _Result((place.name,))
        names = tuple(name_in_files(info, place.layer, local, rule) for local, _ in found)
        canonical = place.layout.inverse() if place.layout else None
        wholes = [role for _, role in found]
        if len(found) > 1 and isinstance(wholes[0], str):  # one tensor comes apart
            layouts = {layout(rule, place, role) for role in wholes}
            if len(layouts) > 1 or not all(isinstance(role, str) for role in wholes):
                return _Result((place.name,))
            (each,) = layouts
            return _Result(names, chain(canonical, Each(each) if each else None))
        whole = wholes[0]
        if isinstance(whole, str) or whole == roles:
            return _Result(names[:1], chain(canonical, layout(rule, place, whole)))
        if len(found) > 1:
            return _Result((place.name,))
        return _Result(names, canonical, whole.index(roles[0]), len(whole), layout(rule, place, whole))

    return spell


def _spelled_kind(place: _Place, known: Container[str]) -> tuple[str, tuple[str, ...]]:
    """Kind and roles of a place; a stack of one is a cell, and a cell a stack of one, where that is what there is."""
    kind = place.kind or ""
    if kind not in known and kind in STACKS and place.alone:
        return f"{kind}_cell", tuple(cell_role(role)[0] for role in place.roles)
    stack = kind.removesuffix("_cell")
    if kind not in known and stack in STACKS and stack != kind:
        return stack, tuple(f"{role}_l0" for role in place.roles)
    return kind, place.roles
