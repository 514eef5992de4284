"""Which layer rules may explain the names of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ts_core.checkpoints import framework_of_format
from ts_core.contract.framework_info import DEFAULT_TAG
from ts_core.contract.nouns import LayerRule, TensorInfo
from ts_core.frameworks import framework_of_tag, registry


def layer_rules(tensors: Any) -> tuple[LayerRule, ...]:
    """The rules that may explain the names of an opened file: of the framework that wrote it, or of all."""
    tables = registry().each("layer_rules")
    framework = framework_of_format(getattr(tensors, "format", None))
    tag = str(tensors.metadata.get("format"))
    if framework not in tables and tag != DEFAULT_TAG:
        framework = framework_of_tag(tag)
    if framework in tables:
        return tuple(tables[framework])
    return tuple(rule for table in tables.values() for rule in table)


def known_by_name(
    index: Mapping[str, TensorInfo], network: Mapping[str, TensorInfo], rules: Sequence[LayerRule]
) -> dict[str, TensorInfo]:
    """The index of a file, with the places of those tensors that a network would write under this very name.

    Only of names that no rule could explain: ``dense/kernel:0`` is nobody else's, but ``fc.weight`` is the name of many
    frameworks, which store it in different layouts.
    """
    explained = {local.rpartition(".")[2] for rule in rules for local in rule.roles}

    def known(name: str, info: TensorInfo) -> TensorInfo:
        own = network.get(name)
        if info.place or own is None or own.shape != info.shape or name.rpartition(".")[2] in explained:
            return info
        return replace(info, place=own.place)

    return {name: known(name, info) for name, info in index.items()}
