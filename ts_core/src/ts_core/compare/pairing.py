"""Which tensor of the original belongs to which of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ts_core.compare.engine import Pair

if TYPE_CHECKING:
    from ts_core.checkpoints.protocols import LazyTensors
    from ts_core.mapping.weight_map import WeightMap


def pair_up(original: LazyTensors, target: LazyTensors, steps: WeightMap | None = None) -> list[Pair]:
    """Pair the tensors of two sources by name.

    Args:
        original: its order is that of the pairs.
        target: what the original does not have of it comes last.
        steps: from the names of the original to those of the target; without it, equal names are partners. The pairs
            hold the names *after* the map.

    Raises:
        WeightMapError: the map names tensors that the original lacks.
    """
    renamed: dict[str, tuple[str, ...]] = {name: (name,) for name in original}
    shown: dict[str, str] = {}
    if steps is not None:
        steps.apply(original)  # raises when it does not belong to the original
        renamed = {}
        for entry in steps:
            renamed[entry.source[0]] = entry.target
            renamed.update(dict.fromkeys(entry.source[1:], ()))  # fused into the first
            shown.update(dict.fromkeys(entry.target, " + ".join(entry.source)))
    pairs: list[Pair] = []
    for name in original:
        if name not in renamed:
            pairs.append(Pair(name, None, info=original.info(name)))
        for new in renamed.get(name, ()):
            if new in target:
                pairs.append(Pair(new, new, shown.get(new)))
            else:
                pairs.append(Pair(name, None, shown.get(new), info=original.info(name)))
    reached = {new for names in renamed.values() for new in names}
    return [*pairs, *(Pair(None, name) for name in target if name not in reached)]
