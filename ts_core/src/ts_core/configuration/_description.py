"""``ts.settings``: what the layers of a network were told, as rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

from ts_core.configuration import _file
from ts_core.configuration._pausing import uncollected
from ts_core.contract.dtypes import dtype_name
from ts_core.contract.layers import KINDS
from ts_core.contract.nouns import Parameter
from ts_core.contract.settings import SettingValue
from ts_core.errors import ArgumentTypeError
from ts_core.frameworks import ToldLayer, described, framework_of
from ts_core.reporting import Column, Tabular


class SettingRow(NamedTuple):
    """One setting of one layer.

    Attributes:
        path: of the layer, ``""`` the network itself.
        kind: what the layer is, in canonical terms; its class where no rule knows it.
        setting: canonical name; empty where a layer has none, or none is known.
        value: in the meaning and units of :data:`~ts_core.contract.layers.KINDS`.
        told: how the framework has it.
    """

    path: str
    kind: str
    setting: str
    value: object
    told: SettingValue | None

    def __bool__(self) -> bool:
        return True

    @property
    def spelled(self) -> str:
        """As it stands there: ``padding=1 kernel_size=3``; empty for what the framework lets nobody choose."""
        return _file.spelled(self.told)


class NetworkSettings(Tabular[SettingRow]):
    """What the layers of a network were told.

    A row for each setting of each layer of a known kind; one without a setting for a layer that has none, and for one
    of an unknown kind. ``to_json`` writes all that :func:`ts_core.compare_settings` needs in another environment.

    Attributes:
        framework: of the network; None when it is not known.
        name: the class of the network.
        layers: every layer, containers too, in definition order.
        parameters: its parameters and buffers; what is read from a file has no values.
    """

    _title = "Settings"

    def __init__(
        self, framework: str | None, name: str, layers: Sequence[ToldLayer], parameters: Sequence[Parameter]
    ) -> None:
        self.framework, self.name = framework, name
        self.layers, self.parameters = tuple(layers), tuple(parameters)

    @cached_property
    def rows(self) -> tuple[SettingRow, ...]:
        """One for each setting, in the order of the layers."""
        return tuple(self._rows())

    def _rows(self) -> Iterator[SettingRow]:
        for layer in self.named:
            kind = layer.kind or layer.cls
            if not layer.settings:
                yield SettingRow(layer.path, kind, "", None, None)
            for name, told in layer.settings.items():
                yield SettingRow(layer.path, kind, name, told.value, told)

    @property
    def named(self) -> tuple[ToldLayer, ...]:
        """The layers that do something: of a known kind, or with nothing inside; not what is a part of these."""
        return tuple(one for one in self.layers if one.part_of is None and (one.kind is not None or one.leaf))

    @property
    def unknown(self) -> tuple[ToldLayer, ...]:
        """Layers whose settings nobody knows: no rule has their class, or a file calls them what is not in KINDS."""
        return tuple(one for one in self.named if one.kind not in KINDS)

    @property
    def training(self) -> bool | None:
        """Whether the network is in training mode; None when its framework does not say."""
        return self.layers[0].training if self.layers else None

    @property
    def counts(self) -> dict[str, int]:
        """How many layers of each kind there are."""
        return dict(Counter(layer.kind or layer.cls.rpartition(".")[2] for layer in self.named))

    @property
    def dtypes(self) -> dict[str, int]:
        """How many parameters there are of each dtype."""
        return dict(Counter(dtype_name(one.dtype) for one in self.parameters))

    def __str__(self) -> str:
        return "\n".join([self.table(), *map(_file.one_line, self._notes())])

    def _notes(self) -> Iterator[str]:
        mode = {True: "training mode", False: "evaluation mode", None: "no mode"}[self.training]
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        yield f"{self.name}, {mode}: {kinds or 'no layers'}"
        if self.unknown:
            yield f"no settings are known of: {', '.join(f'{one.path} ({one.cls})' for one in self.unknown)}"

    def _columns(self) -> Sequence[Column[SettingRow]]:
        return [
            Column("path", attrgetter("path"), "Layer", align="l"),
            Column("kind", attrgetter("kind"), "Kind", align="l"),
            Column("setting", attrgetter("setting"), "Setting", align="l"),
            Column("value", attrgetter("value"), "Value", align="l"),
            Column("spelled", attrgetter("spelled"), "As spelled there", align="l"),
        ]

    def _facts(self) -> dict[str, Any]:
        return _file.facts(self.framework, self.name, self.layers, self.parameters)


def settings(net: object) -> NetworkSettings:
    """What the layers of a network were told, read from their attributes, without running it.

    Args:
        net: a network of any framework.

    Returns:
        A row for each setting: the path and kind of the layer, the setting and its value in canonical terms, and as it
        is spelled there. ``to_json`` writes a file that :func:`ts_core.compare_settings` takes in any environment.

    Raises:
        ArgumentTypeError: it is no network.
        PluginError: its plug-in cannot read a setting as it says.
    """
    if isinstance(net, str | os.PathLike | Mapping):
        what = (
            f"{net} is a path" if isinstance(net, str | os.PathLike) else f"a {type(net).__name__} is tensors by name"
        )
        raise ArgumentTypeError(
            f"not a network: {what}; there are no settings in weights, only in the network that has them: give that one"
        )
    with uncollected():
        layers, parameters = described(net)
    return NetworkSettings(framework_of(net), type(net).__name__, layers, parameters)
