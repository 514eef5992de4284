"""Translating names by layer rules alone: what the source's names would be in another framework."""

from __future__ import annotations

from collections.abc import Iterable

from ts_core.errors import WeightMapError
from ts_core.mapping.transforms import chain
from ts_core.mapping.weight_map import MapEntry, WeightMap
from ts_core.model import LayerRule, Parameter
from ts_core.plugins import registry, require_framework


def framework_rules(framework: str) -> tuple[LayerRule, ...]:
    """The layer rules of a framework. Raises ArgumentError when no plug-in knows it."""
    tables = registry().each("layer_rules")
    if framework not in tables:
        require_framework(framework)
    return tuple(tables.get(framework, ()))


def translate(parameters: Iterable[Parameter], framework: str) -> WeightMap:
    """The names that a network of the same structure would have in another framework.

    A parameter whose layer no rule knows, or whose role the other framework's layer lacks, keeps its name.
    """
    spellings: dict[str, tuple[LayerRule, dict[str, str]]] = {}
    for rule in framework_rules(framework):
        spellings.setdefault(rule.kind, (rule, {role: local for local, role in rule.roles.items()}))
    entries = []
    for parameter in parameters:
        rule, names = spellings.get(parameter.kind or "", (None, {}))
        local = names.get(parameter.role or "")
        if rule is None or local is None:
            entries.append(MapEntry((parameter.name,), (parameter.name,), how="rule"))
            continue
        name = f"{parameter.layer}.{local}" if parameter.layer else rule.root_names.get(local, local)
        layout = rule.layout.get(rule.roles[local])
        if callable(layout):
            raise WeightMapError(
                f"{parameter.name}: how {framework} stores a {rule.kind} depends on the layer: give the target network"
            )
        transform = chain(parameter.layout.inverse() if parameter.layout else None, layout)
        entries.append(MapEntry((parameter.name,), (name,), transform, how="rule"))
    return WeightMap(entries)
