"""Which layer rules may explain the names of a file."""

from __future__ import annotations

from typing import Any

from ts_core.contract.nouns import LayerRule
from ts_core.frameworks import framework_of_tag, registry


def layer_rules(tensors: Any) -> tuple[LayerRule, ...]:
    """The rules that may explain the names of an opened file: of the framework that wrote it, or of all."""
    tables = registry().each("layer_rules")
    framework = getattr(tensors, "format", None)
    if framework not in tables:
        framework = framework_of_tag(str(tensors.metadata.get("format")))
    if framework in tables:
        return tuple(tables[framework])
    return tuple(rule for table in tables.values() for rule in table)
