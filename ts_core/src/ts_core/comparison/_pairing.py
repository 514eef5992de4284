"""Which tensor of the original belongs to which of the target."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from ts_core.checkpoints import saved_order
from ts_core.comparison._alignment import align
from ts_core.comparison._applicable import Excuses
from ts_core.comparison._folders import NamePair
from ts_core.comparison._pieces import Pair
from ts_core.errors import CheckpointError

if TYPE_CHECKING:
    from ts_core.checkpoints import NpyFiles
    from ts_core.contract.nouns import TensorInfo
    from ts_core.contract.readers import LazyTensors
    from ts_core.mapping import WeightMap

# What ts.save puts behind the name it was given: fc.weight_float32_17.npy
_DTYPE_AND_ID = re.compile(r"_(bool|(?:u?int|float|bfloat|complex)\d+\w*?)_\d+(?=\.npy$)")


def pair_up(original: LazyTensors, target: LazyTensors, steps: WeightMap | None = None) -> list[Pair]:
    """Pair the tensors of two sources by name.

    Args:
        original: its order is that of the pairs.
        target: what the original does not have of it comes last.
        steps: from the names of the original to those of the target; without it, equal names are partners. The pairs
            hold the names *after* the map. What it names and the original lacks is in no pair: `apply` refuses it.
    """
    here, there = set(original), set(target)
    if steps is None:
        pairs = [Pair(name, name if name in there else None) for name in original]
        return [*pairs, *(Pair(None, name) for name in target if name not in here)]
    by_source, by_target = steps.by_source, steps.by_target
    unpaired = _Unpaired(original, target, steps)
    pairs = []
    for name in original:
        entry = by_source.get(name)
        if entry is None:
            pairs.append(Pair(name, None, info=_info(original, name), excuse=unpaired.in_target(name, name)))
        elif entry.source[0] == name:  # what is fused comes with the first of its sources
            shown = " + ".join(entry.source)
            for new in entry.target:
                if new in there:
                    pairs.append(Pair(new, new, shown))
                else:
                    pairs.append(Pair(name, None, shown, _info(original, name), unpaired.in_target(name, new)))
    left = (name for name in target if name not in by_target)
    return [*pairs, *(Pair(None, name, excuse=unpaired.in_original(name)) for name in left)]


def _info(source: LazyTensors, name: str) -> TensorInfo | None:
    try:
        return source.info(name)
    except CheckpointError:  # a damaged file
        return None


class _Unpaired:
    """Why tensors have no partner, where the weight map or the layer rules excuse it.

    Most comparisons never ask: what the answers need is made for the first question.
    """

    def __init__(self, original: LazyTensors, target: LazyTensors, steps: WeightMap) -> None:
        self._sources, self._steps = (original, target), steps
        self._partners: dict[str, set[str]] = {}  # layer of the target → local names in the layers that it came from

    def in_target(self, name: str, new: str) -> str:
        """The excuse of the target for lacking `name` of the original, which would be called `new` there."""
        layer, _, local = name.rpartition(".")
        return self._harmless[0].get(name) or self._excuses.excuse(
            local, self._inside(1, new.rpartition(".")[0]), self._inside(0, layer)
        )

    def in_original(self, name: str) -> str:
        """The excuse of the original for lacking `name` of the target."""
        layer, _, local = name.rpartition(".")
        if layer not in self._partners:
            self._partners[layer] = {own for origin in self._origins[layer] for own in self._inside(0, origin)}
        return self._harmless[1].get(name) or self._excuses.excuse(local, self._partners[layer], self._inside(1, layer))

    def _inside(self, side: int, layer: str) -> set[str]:
        """The local names of all that a layer holds, in inner layers too; of very many, only more than any rule has."""
        names, front = self._names[side], f"{layer}." if layer else ""
        start = bisect_left(names, front)
        stop = bisect_left(names, f"{layer}/") if layer else len(names)  # "/" comes after "."
        return {name[len(front) :] for name in names[start : min(stop, start + self._excuses.most + 1)]}

    @cached_property
    def _names(self) -> tuple[list[str], list[str]]:
        original, target = map(sorted, self._sources)
        return original, target

    @cached_property
    def _origins(self) -> defaultdict[str, set[str]]:
        """Layer of the target → layers of the original that the map takes it from."""
        origins: defaultdict[str, set[str]] = defaultdict(set)
        for entry in self._steps:
            origins[entry.target[0].rpartition(".")[0]].update(name.rpartition(".")[0] for name in entry.source)
        return origins

    @cached_property
    def _harmless(self) -> tuple[dict[str, str], ...]:
        return tuple(
            {unmatched.name: unmatched.reason for unmatched in side if unmatched.harmless}
            for side in (self._steps.unmatched_source, self._steps.unmatched_target)
        )

    @cached_property
    def _excuses(self) -> Excuses:
        return Excuses()


def pair_files_by_name(original: Sequence[str], target: Sequence[str]) -> list[NamePair]:
    """Pair the files of two folders by name.

    Equal names first; then names that are equal without ``_<dtype>_<id>``, several of them in the order of their ids;
    then what is left of the original, then of the target.
    """
    present, taken = set(target), set(original)
    pairs: list[NamePair] = [(name, name) for name in original if name in present]
    ours, theirs = (
        sorted((name for name in names if name not in others), key=saved_order)
        for names, others in ((original, present), (target, taken))
    )
    candidates: dict[str, list[str]] = {}
    for name in reversed(theirs):
        candidates.setdefault(_DTYPE_AND_ID.sub("", name), []).append(name)
    left: list[NamePair] = []
    for name in ours:
        same = candidates.get(_DTYPE_AND_ID.sub("", name))
        (pairs if same else left).append((name, same.pop() if same else None))
    matched = {partner for _, partner in pairs}
    return [*pairs, *left, *((None, name) for name in theirs if name not in matched)]


def pair_files_by_number(original: Sequence[str], target: Sequence[str]) -> list[NamePair]:
    """Pair the files of two folders by their places in the order in which they were saved."""
    return list(zip_longest(sorted(original, key=saved_order), sorted(target, key=saved_order)))


def pair_files_by_shape(
    original: NpyFiles, target: NpyFiles, *, del_cost: float = 1, ins_cost: float = 1, rep_cost: float = 5
) -> list[NamePair]:
    """Pair the files of two folders so that their sequences of shapes align at the least cost; see :func:`align`.

    Only headers are read. A file that has none is nobody's partner.
    """
    shapes = ([_shape_or_path(folder, name) for name in folder.names] for folder in (original, target))
    aligned = align(*shapes, del_cost=del_cost, ins_cost=ins_cost, rep_cost=rep_cost)
    return [(None if i is None else original.names[i], None if j is None else target.names[j]) for i, j in aligned]


def _shape_or_path(folder: NpyFiles, name: str) -> object:
    try:
        return folder.info(name).shape
    except CheckpointError:
        return folder.path / name  # like no other item
