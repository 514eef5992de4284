"""Which canonical layer a class is, and which layer of a network a parameter belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ts_core.hookspecs import is_class
from ts_core.model import LayerRule


@dataclass(frozen=True, slots=True)
class Owner:
    """The layer that owns a parameter: its path, canonical kind, and the parameter's role there (None: no rule)."""

    layer: str
    kind: str | None
    role: str | None


class LayerTable:
    """A framework's layer rules, looked up by class and by the place of a parameter in a network."""

    def __init__(self, rules: Iterable[LayerRule]) -> None:
        self._rules = tuple(rules)
        self._known: dict[type, LayerRule | None] = {}

    def rule(self, cls: type) -> LayerRule | None:
        """The rule for a layer's class: that of the nearest class along its MRO which has one."""
        if cls not in self._known:
            self._known[cls] = next(
                (rule for base in cls.__mro__ for rule in self._rules if is_class(base, rule.cls)), None
            )
        return self._known[cls]

    def owner(self, path: str, layers: Mapping[str, type]) -> Owner:
        """The owner of the parameter at `path` in a network whose layers are `layers` (path → class, ``""`` the root).

        The outermost layer whose rule knows the rest of the path owns the parameter: a batch norm that keeps
        everything in an inner layer is still one batch norm. With no such layer it is the innermost one, without a
        role.
        """
        parts = path.split(".")
        for depth in range(len(parts)):
            layer, local = ".".join(parts[:depth]), ".".join(parts[depth:])
            rule = self.rule(layers[layer]) if layer in layers else None
            if rule is not None and local in rule.roles:
                return Owner(layer, rule.kind, rule.roles[local])
        innermost = ".".join(parts[:-1])
        rule = self.rule(layers[innermost]) if innermost in layers else None
        return Owner(innermost, rule.kind if rule else None, None)
