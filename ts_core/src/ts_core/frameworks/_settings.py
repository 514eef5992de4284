"""What layers were told, in canonical terms: their settings, read through the layer rules of their framework."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ts_core.contract.layers import EACH_AXIS, KINDS
from ts_core.contract.nouns import Layer, LayerRule
from ts_core.contract.recognition import is_class
from ts_core.contract.settings import CONVERTERS, Always, SettingValue, Spelled, Spelling, each_axis, read
from ts_core.errors import PluginError
from ts_core.frameworks._layers import LayerTable, layer_table
from ts_core.frameworks._parameters import not_a_network
from ts_core.frameworks._registry import registry

if TYPE_CHECKING:
    from ts_core.frameworks._registry import PluginRegistry


@dataclass(frozen=True, slots=True)
class ToldLayer:
    """One layer of a network, and what it was told.

    Attributes:
        path: where it is found from the network, ``""`` the network itself.
        cls: its class, with the module that defines it.
        kind: what it is, in canonical terms; None when no rule knows it.
        settings: canonical setting → its value.
        training: whether it is in training mode; None when its framework does not say.
        part_of: the path of the layer of a known kind that it is a part of, if any.
        same_as: the path of the first place of a layer that is found at several.
        leaf: whether there is no layer inside.
        layer: the framework's own object; None of a network that is known from a file.
    """

    path: str
    cls: str
    kind: str | None
    settings: Mapping[str, SettingValue]
    training: bool | None = None
    part_of: str | None = None
    same_as: str | None = None
    leaf: bool = True
    layer: object = field(default=None, repr=False, compare=False)


def told_layers(net: object) -> list[ToldLayer]:
    """Every layer of a network, in definition order, and what it was told.

    Raises:
        ArgumentTypeError: no plug-in recognises the object as a network.
        PluginError: a setting cannot be read as the rule of its layer says.
    """
    plugin, answer = registry().first_with_plugin("iter_layers", net, net=net)
    if answer is None:
        raise not_a_network(net)
    table, found = layer_table(registry(), plugin), list(answer)
    if not all(isinstance(layer, Layer) for layer in found):
        raise PluginError(f"the plug-in {plugin!r}: iter_layers yielded something else than Layers")
    containers = {layer.path.rpartition(".")[0] for layer in found if layer.path}
    owners: dict[str, tuple[str, object, LayerRule]] = {}  # container → the outermost layer of a known kind around it
    first: dict[int, ToldLayer] = {}
    told = []
    for layer in found:
        parent = layer.path.rpartition(".")[0]
        around = owners.get(parent) if layer.path else None
        rule = table.rule(layer.layer)
        part_of = around[0] if around is not None and _is_part(layer.path, *around) else None
        if part_of is not None and around is not None:
            owners[layer.path] = around
        elif rule is not None:
            owners[layer.path] = layer.path, layer.layer, rule
        before = first.get(id(layer.layer))
        if before is not None:
            values = before.settings
        else:
            values = {} if rule is None else {name: _value(plugin, rule, name, layer.layer) for name in _known(rule)}
        cls = type(layer.layer)
        one = ToldLayer(
            layer.path,
            f"{cls.__module__}.{cls.__qualname__}",
            rule.kind if rule else None,
            values,
            layer.training,
            part_of,
            before.path if before else None,
            layer.path not in containers,
            layer.layer,
        )
        first.setdefault(id(layer.layer), one)
        told.append(one)
    return told


def _is_part(path: str, owner: str, layer: object, rule: LayerRule) -> bool:
    """Whether what is inside a layer of a known kind is a part of it, and no layer that works on its output.

    Of a subclass of somebody else's only what has its parameters is.
    """
    local = path[len(owner) + 1 :] if owner else path
    if any(local == then or local.startswith(f"{then}.") for then in rule.then):
        return False
    if is_class(type(layer), rule.cls):
        return True
    return any(role.startswith(f"{local}.") for role in rule.roles)


def settings(layer: object) -> dict[str, SettingValue] | None:
    """The settings of a layer of any framework.

    Args:
        layer: the framework's own object.

    Returns:
        Canonical setting → its value, in the order of :data:`~ts_core.contract.layers.KINDS`; those that the rule of
        the layer does not declare are left out. None for a layer that no rule knows.

    Raises:
        PluginError: a setting cannot be read as its rule says.
    """
    for plugin, table in _tables(registry()):
        rule = table.rule(layer)
        if rule is not None:
            return {name: _value(plugin, rule, name, layer) for name in _known(rule)}
    return None


def kind_of(layer: object) -> str | None:
    """What a layer of any framework is, in canonical terms; None when no rule knows it."""
    rules = (table.rule(layer) for _, table in _tables(registry()))
    return next((rule.kind for rule in rules if rule is not None), None)


@functools.lru_cache(maxsize=4)
def _tables(plugins: PluginRegistry) -> tuple[tuple[str, LayerTable], ...]:
    return tuple((plugin, layer_table(plugins, plugin)) for plugin in plugins.who_answers()["layer_rules"])


def _known(rule: LayerRule) -> Iterable[str]:
    """The settings of a rule, in the order of its kind."""
    kind = KINDS.get(rule.kind)
    order = dict.fromkeys([*(kind.settings if kind else ()), *rule.settings])
    return [name for name in order if name in rule.settings]


def _value(plugin: str, rule: LayerRule, name: str, layer: object) -> SettingValue:
    try:
        spelled, raw, value = _converted(rule, name, rule.settings[name], layer)
        return SettingValue(rule.kind, _plain(value), spelled, raw)
    except Exception as problem:
        raise PluginError(
            f"the plug-in {plugin!r}: its rule for {rule.cls} cannot tell the setting {name!r} of a {rule.kind}, "
            f"spelled {rule.settings[name]!r}: {type(problem).__name__}: {problem}"
        ) from problem


def _converted(rule: LayerRule, name: str, spelling: Spelling, layer: object) -> tuple[str, object, object]:
    """The attributes that say it, what stands there, and what it means."""
    axes = KINDS[rule.kind].dimensions if rule.kind in KINDS else None
    usual = "each_axis" if name in EACH_AXIS else "as_it_is"
    if isinstance(spelling, Always):
        return "", spelling.value, each_axis(axes, spelling.value) if name in EACH_AXIS else spelling.value
    if isinstance(spelling, str):
        spelling = Spelled(spelling)
    if not isinstance(spelling, Spelled):
        value = spelling(layer)
        return "", value, value
    paths = spelling.attributes.split()
    values = [read(layer, path, spelling.otherwise) for path in paths]
    raw = values[0] if len(values) == 1 else dict(zip(paths, values, strict=True))
    if callable(spelling.converter):
        return spelling.attributes, raw, spelling.converter(*values, **spelling.arguments)
    converter = CONVERTERS[spelling.converter or usual]
    return spelling.attributes, raw, converter(axes, *values, **spelling.arguments)


def _plain(value: Any) -> object:
    """A value as JSON and comparing have it. Raises TypeError for what is no plain value."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(f"{float(str(value)):.12g}")  # by its shortest text: a float32 of 1e-5 is meant as 1e-5
    if type(value).__name__ in ("bool", "bool_"):  # NumPy's, which is no number
        return bool(value)
    raise TypeError(f"{value!r} is no number, string, bool or None, nor a tuple of them")
