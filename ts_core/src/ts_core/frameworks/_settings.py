"""What layers were told, in canonical terms: their settings, read through the layer rules of their framework."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ts_core.contract.layers import EACH_AXIS, KINDS
from ts_core.contract.nouns import Layer, LayerRule, Parameter
from ts_core.contract.recognition import is_class
from ts_core.contract.settings import CONVERTERS, Always, SettingValue, Spelled, each_axis, read
from ts_core.errors import NotBuiltError, PluginError
from ts_core.frameworks._layers import LayerTable, layer_table
from ts_core.frameworks._parameters import not_a_network, read_parameters
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
    return _told(net)


def described(net: object) -> tuple[list[ToldLayer], list[Parameter]]:
    """The layers of a network, and its parameters: none where it has not made them yet. See :func:`told_layers`."""
    told = _told(net)
    try:
        return told, read_parameters(net, {one.path: one.layer for one in told})[1]
    except NotBuiltError:
        return told, []


def _told(net: object) -> list[ToldLayer]:
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
            values = {} if rule is None else {one.name: one(layer.layer) for one in _readers(table, plugin, rule)}
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
            return {one.name: one(layer) for one in _readers(table, plugin, rule)}
    return None


def kind_of(layer: object) -> str | None:
    """What a layer of any framework is, in canonical terms; None when no rule knows it."""
    rules = (table.rule(layer) for _, table in _tables(registry()))
    return next((rule.kind for rule in rules if rule is not None), None)


@functools.lru_cache(maxsize=4)
def _tables(plugins: PluginRegistry) -> tuple[tuple[str, LayerTable], ...]:
    return tuple((plugin, layer_table(plugins, plugin)) for plugin in plugins.who_answers()["layer_rules"])


def _readers(table: LayerTable, plugin: str, rule: LayerRule) -> tuple[_Reader, ...]:
    """The settings of a rule, in the order of its kind."""
    own = _READERS.setdefault(table, {})
    if id(rule) not in own:  # the table keeps its rules alive
        kind = KINDS.get(rule.kind)
        order = dict.fromkeys([*(kind.settings if kind else ()), *rule.settings])
        own[id(rule)] = tuple(_Reader(plugin, rule, name) for name in order if name in rule.settings)
    return own[id(rule)]


class _Reader:
    """Reads one setting of the layers of one rule. What equal attributes say is one value, which the layers share."""

    def __init__(self, plugin: str, rule: LayerRule, name: str) -> None:
        self.name = name
        self._plugin, self._rule = plugin, rule
        spelling = rule.settings[name]
        self._spelling = Spelled(spelling) if isinstance(spelling, str) else spelling
        self._paths = self._spelling.attributes.split() if isinstance(self._spelling, Spelled) else []
        self._axes = KINDS[rule.kind].dimensions if rule.kind in KINDS else None
        self._known: dict[object, SettingValue] = {}

    def __call__(self, layer: object) -> SettingValue:
        try:
            return self._read(layer)
        except Exception as problem:
            rule = self._rule
            raise PluginError(
                f"the plug-in {self._plugin!r}: its rule for {rule.cls} cannot tell the setting {self.name!r} of a "
                f"{rule.kind}, spelled {rule.settings[self.name]!r}: {type(problem).__name__}: {problem}"
            ) from problem

    def _read(self, layer: object) -> SettingValue:
        spelling, kind = self._spelling, self._rule.kind
        if isinstance(spelling, Always):
            value = each_axis(self._axes, spelling.value) if self.name in EACH_AXIS else spelling.value
            return self._known.setdefault((), SettingValue(kind, _plain(value), "", spelling.value))
        if not isinstance(spelling, Spelled):
            value = spelling(layer)
            return SettingValue(kind, _plain(value), "", value)
        values = [read(layer, path, spelling.otherwise) for path in self._paths]
        key = (*values, *map(type, values)) if _SHARED.issuperset(map(type, values)) else None
        if key is not None and key in self._known:
            return self._known[key]
        told = SettingValue(
            kind,
            _plain(self._converted(spelling, values)),
            spelling.attributes,
            values[0] if len(values) == 1 else dict(zip(self._paths, values, strict=True)),
        )
        if key is not None and len(self._known) < _MOST_KNOWN:
            self._known[key] = told
        return told

    def _converted(self, spelling: Spelled, values: list[Any]) -> object:
        if callable(spelling.converter):
            return spelling.converter(*values, **spelling.arguments)
        usual = "each_axis" if self.name in EACH_AXIS else "as_it_is"
        return CONVERTERS[spelling.converter or usual](self._axes, *values, **spelling.arguments)


_READERS: WeakKeyDictionary[LayerTable, dict[int, tuple[_Reader, ...]]] = WeakKeyDictionary()
_SHARED = frozenset([int, float, bool, str, type(None), tuple])
_MOST_KNOWN = 4096


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
