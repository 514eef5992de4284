"""What a layer was told, in canonical terms: its settings, read through the layer rules of its framework."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ts_core.contract.layers import EACH_AXIS, KINDS
from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import CONVERTERS, Always, SettingValue, Spelled, Spelling, each_axis, read
from ts_core.errors import PluginError
from ts_core.frameworks._layers import LayerTable, layer_table
from ts_core.frameworks._registry import registry

if TYPE_CHECKING:
    from ts_core.frameworks._registry import PluginRegistry


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
