"""Translating names by layer rules alone: what the source's names would be in another framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ts_core.contract.nouns import LayerRule, Parameter
from ts_core.contract.readers import LazyTensors
from ts_core.contract.transforms import Transform, chain
from ts_core.errors import WeightMapError
from ts_core.frameworks import framework_called, name_in_files, registry, require_framework
from ts_core.mapping._inference import read_layers
from ts_core.mapping._names import wrapper_note, wrapper_prefix
from ts_core.mapping._nouns import CERTAIN, LIKELY, Ambiguity, MapEntry
from ts_core.mapping._rules import layer_rules
from ts_core.mapping._weight_map import WeightMap
from ts_core.sources import NetworkTensors

_SHOWN = 3  # names that a note lists


_Result = tuple[str, Transform | None]


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor, and where a layer rule puts it: several ways to read a file give several of these."""

    name: str
    path: str
    layer: str
    kind: str | None = None
    role: str | None = None
    layout: Transform | None = None
    likely: bool = False


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
    for places in _places(source):
        name, certainty = places[0].name, CERTAIN
        results = _results(places, spell)
        likely = [place for place in places if place.likely]
        if len(results) > 1 and likely:
            results, certainty = _results(likely, spell), LIKELY
        if len(results) > 1:
            kinds = ", ".join(f"{kind} ({rename(target)})" for (target, _), kind in results.items())
            targets = tuple(dict.fromkeys(rename(target) for target, _ in results))
            open_.append(Ambiguity((name,), targets, f"a file alone does not tell what it is: {kinds}"))
            continue
        ((target, transform),) = results
        entries.append(MapEntry((name,), (rename(target),), transform, "rule", certainty))
    taken = [entry.source[0] for entry in entries if entry.certainty == LIKELY]
    if taken:
        notes.append(
            f"the number of dimensions of {len(taken)} tensors was taken from the other layers of the file: "
            f"{', '.join(taken[:_SHOWN])}{', ...' if len(taken) > _SHOWN else ''}"
        )
    return WeightMap(entries, ambiguous=open_, order=source, notes=notes)


def _results(places: Iterable[_Place], spell: Callable[[_Place], _Result]) -> dict[_Result, str | None]:
    """The different outcomes of several ways to read a tensor, each with the first kind that leads to it."""
    results: dict[_Result, str | None] = {}
    for place in places:
        results.setdefault(spell(place), place.kind)
    return results


def _places(source: LazyTensors) -> Iterator[list[_Place]]:
    """For each tensor, every place that it may have."""
    if isinstance(source, NetworkTensors):
        for p in _persistent(source.parameters):
            yield [_Place(p.name, p.path, p.layer, p.kind, p.role, p.layout)]
        return
    places: dict[str, list[_Place]] = {}
    for reading in read_layers(source.index, layer_rules(source)):
        for local, name in reading.names.items():
            places[name] = [
                _Place(name, name, reading.layer, kind.kind, role, kind.layout.get(role), kind in reading.likely)
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
    spellings: dict[str, tuple[LayerRule, dict[str, str]]] = {}
    for rule in tables.get(framework, ()):
        spellings.setdefault(rule.kind, (rule, {role: local for local, role in rule.roles.items()}))

    def spell(place: _Place) -> tuple[str, Transform | None]:
        rule, names = spellings.get(place.kind or "", (None, {}))
        local = names.get(place.role or "")
        if rule is None or local is None or place.role is None:
            return place.name, None
        layout = rule.layout.get(place.role)
        if callable(layout):
            raise WeightMapError(
                f"{place.name}: how {framework} stores a {rule.kind} depends on the layer: give the target network"
            )
        name = name_in_files(info, place.layer, local, rule)
        return name, chain(place.layout.inverse() if place.layout else None, layout)

    return spell
