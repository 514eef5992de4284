"""A checkpoint fits the network that wrote it: equal names with equal shapes need no matching."""

from __future__ import annotations

from ts_core.checkpoints import framework_of_format
from ts_core.contract.readers import LazyTensors
from ts_core.frameworks import framework_of, framework_of_tag
from ts_core.mapping._nouns import CERTAIN, MapEntry
from ts_core.sources import NetworkTensors


def by_equal_names(source: LazyTensors, target: LazyTensors) -> list[MapEntry] | None:
    """One entry for each name, where all names of one side are names of the other, with the same stored shapes.

    None where they are not, or where one name may stand for two layouts: the two are of different frameworks; or one
    does not tell of which it is, and the other stores something in a layout of its own.
    """
    frameworks = {_framework(source), _framework(target)}
    fewer, more = sorted((source.index, target.index), key=len)
    shared = [name for name in source.index if name in target.index]
    if len(frameworks - {None}) > 1 or not shared or len(shared) < len(fewer):
        return None
    places = [info.place for tensors in (source, target) for info in tensors.index.values()]
    if None in frameworks and any(place and place.layout for place in places):
        return None
    if any(fewer[name].shape != more[name].shape for name in shared):
        return None
    return [MapEntry((name,), (name,), None, "equal name", CERTAIN) for name in shared]


def _framework(tensors: LazyTensors) -> str | None:
    """The framework of a network, or of a file that tells; else None."""
    if isinstance(tensors, NetworkTensors):
        return framework_of(tensors.net)
    tag = framework_of_tag(str(tensors.metadata.get("format")))
    return framework_of_format(getattr(tensors, "format", None)) or tag
