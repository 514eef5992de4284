"""Which canonical layer a class is, and which layer of a network a parameter belongs to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ts_core.contract.nouns import Layer, LayerRule, Role
from ts_core.contract.recognition import is_class
from ts_core.errors import PluginError

if TYPE_CHECKING:
    from ts_core.contract.framework_info import FrameworkInfo
    from ts_core.contract.transforms import Transform
    from ts_core.frameworks._registry import PluginRegistry


@dataclass(frozen=True, slots=True)
class Owner:
    """The layer that owns a parameter: its path, canonical kind, and the parameter's role there (None: no rule).

    `layout` takes the canonical layout, or the arrays of several roles, to what is stored; None when that is the same.
    """

    layer: str
    kind: str | None
    role: Role | None
    layout: Transform | None = None
    rule: LayerRule | None = None


def name_in_files(info: FrameworkInfo, layer: str, local: str, rule: LayerRule | None) -> str:
    """What the files of a framework call a parameter: by the path of its layer, and its own path inside it."""
    if rule is not None:
        if not layer and local in rule.root_names:
            return rule.root_names[local]
        local = rule.file_names.get(local, local)
    if info.file_name is not None:
        return info.file_name(layer, local)
    return f"{layer}.{local}" if layer else local


class LayerTable:
    """A framework's layer rules, looked up by class and by the place of a parameter in a network."""

    def __init__(self, rules: Iterable[LayerRule]) -> None:
        self._rules = tuple(rules)
        self._known: dict[type, tuple[LayerRule, ...]] = {}

    def rule(self, layer: object) -> LayerRule | None:
        """The rule for a layer: of the nearest class along the MRO which has any, the first that fits the layer."""
        for rule in self._rules_of(type(layer)):
            if rule.when is None or rule.when(layer):
                return rule
        return None

    def _rules_of(self, cls: type) -> tuple[LayerRule, ...]:
        if cls not in self._known:
            found = (tuple(rule for rule in self._rules if is_class(base, rule.cls)) for base in cls.__mro__)
            self._known[cls] = next(filter(None, found), ())
        return self._known[cls]

    def owners(self, layers: Mapping[str, object]) -> Callable[[str], Owner]:
        """Who owns the parameter at a path, in a network whose layers are `layers` (path → layer, ``""`` the root).

        The outermost layer whose rule knows the rest of the path owns the parameter: a batch norm that keeps
        everything in an inner layer is still one batch norm. With no such layer it is the innermost one, without a
        role.
        """

        @functools.cache
        def known(place: str) -> tuple[tuple[str, object, LayerRule], ...]:
            """The layers on the way to a place that have a rule, the outermost first."""
            above = known(place.rpartition(".")[0]) if place else ()
            rule = self.rule(layers[place]) if place in layers else None
            return above if rule is None else (*above, (place, layers[place], rule))

        def owner(path: str) -> Owner:
            innermost = path.rpartition(".")[0]
            for place, layer, rule in known(innermost):
                role = rule.roles.get(path[len(place) + 1 :] if place else path)
                if role is not None:
                    layout = rule.layout.get(role)
                    layout = layout(layer) if callable(layout) else layout
                    if layout is None and isinstance(role, tuple):
                        raise PluginError(f"the rule for {rule.cls} has no layout that joins {', '.join(role)}")
                    return Owner(place, rule.kind, role, layout, rule)
            rules = [rule for place, _, rule in known(innermost) if place == innermost]
            return Owner(innermost, rules[0].kind, None, None, rules[0]) if rules else Owner(innermost, None, None)

        return owner


@functools.lru_cache(maxsize=16)
def layer_table(registry: PluginRegistry, plugin: str) -> LayerTable:
    """The layer rules of one plug-in."""
    return LayerTable(registry.ask(plugin, "layer_rules") or ())


def layers_by(registry: PluginRegistry, plugin: str, net: object) -> dict[str, object]:
    """Path → layer of a network, as one plug-in tells them: in definition order, a shared layer at each place."""
    layers = {}
    for layer in registry.ask(plugin, "iter_layers", net=net) or ():
        if not isinstance(layer, Layer):
            raise PluginError(f"the plug-in {plugin!r}: iter_layers yielded {layer!r}, not a Layer")
        layers[layer.path] = layer.layer
    return layers


def layers_of(net: object) -> dict[str, object]:
    """Path → layer of a network of any framework, in definition order, a shared layer at each place.

    Empty for what no plug-in recognises.
    """
    from ts_core.frameworks._registry import registry

    plugin, answer = registry().first_with_plugin("iter_layers", net, net=net)
    return {} if answer is None else layers_by(registry(), plugin, net)
