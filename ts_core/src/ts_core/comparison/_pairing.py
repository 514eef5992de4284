"""Which tensor of the original belongs to which of the target."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from ts_core.comparison._pieces import Pair
from ts_core.contract.nouns import LayerRule, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import CheckpointError
from ts_core.frameworks import registry

if TYPE_CHECKING:
    from ts_core.mapping import WeightMap


def pair_up(original: LazyTensors, target: LazyTensors, steps: WeightMap | None = None) -> list[Pair]:
    """Pair the tensors of two sources by name: in the order of the original, then what only the target has.

    Where there is a map, the pairs hold the names *after* it. What it names and the original lacks is in no pair:
    `apply` refuses it.
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


class Excuses:
    """Tells from the layer rules of all plug-ins, and the names in a layer, what that layer cannot have."""

    def __init__(self) -> None:
        rules: Iterable[LayerRule] = chain.from_iterable(registry().all("layer_rules"))
        self._rules = [(rule, frozenset(rule.roles)) for rule in rules]
        self.most = max((len(names) for _, names in self._rules), default=0)  # names in a layer that a rule fits
        self._known: dict[tuple[str, frozenset[str], frozenset[str]], str] = {}

    def excuse(self, tensor: str, layer: Collection[str], counterpart: Collection[str]) -> str:
        """Why a layer lacks a tensor that its counterpart in another framework has; empty when it could have it.

        The layer cannot have it when every rule that fits the names in the layer, and is of the same kind as a rule
        that fits the counterpart, has no place for the tensor's role. All names are local: ``"num_batches_tracked"``;
        the tensor's is among those of the counterpart.
        """
        if not layer or max(len(layer), len(counterpart)) > self.most:
            return ""
        key = (tensor, frozenset(layer), frozenset(counterpart))
        if key not in self._known:
            self._known[key] = self._excuse(*key)
        return self._known[key]

    def _excuse(self, tensor: str, layer: frozenset[str], counterpart: frozenset[str]) -> str:
        wanted = {(rule.kind, rule.roles[tensor]) for rule, names in self._rules if counterpart <= names}
        kinds = {kind for kind, _ in wanted}
        ours = [rule for rule, names in self._rules if rule.kind in kinds and layer <= names]
        if not ours or any((rule.kind, role) in wanted for rule in ours for role in rule.roles.values()):
            return ""
        return f"{ours[0].cls} keeps no {tensor}"
