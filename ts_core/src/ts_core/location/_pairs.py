"""Which call of the source belongs to which call of the target.

Layers with parameters belong together by the weight map, and their calls by number. Those pairs are *sure*: values may
be put from one side into the other there. Everything else (layers without parameters, containers) is paired between
them, by path, kind, name and shape, and only looked at where something is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ts_core.mapping import WeightMap
from ts_core.running import TracedCall

Shapes = Mapping[int, object]

# What speaks for two calls being the same.
_SAME_PATH, _SAME_KIND, _NEAR_NAME, _ENOUGH = 4, 3, 2, 3


@dataclass(frozen=True, slots=True)
class Side:
    """The calls of one run, and what is inside what.

    Attributes:
        calls: every call, by number.
        inner: numbers of those inside a call that is judged as a whole.
        parents: numbers of those with calls inside.
    """

    calls: Sequence[TracedCall]
    inner: frozenset[int]
    parents: frozenset[int]

    def leaf(self, call: TracedCall) -> bool:
        """Whether no call happens inside it."""
        return call.number not in self.parents


def layer_pairs(weight_map: WeightMap, source: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """Target path → source path of the layers that the weight map makes one of the other.

    Args:
        weight_map: from the source's names to the target's.
        source: name of a parameter → path of its layer.
        target: the same of the target.
    """
    mine: dict[str, set[str]] = defaultdict(set)
    theirs: dict[str, set[str]] = defaultdict(set)
    for entry in weight_map.entries:
        for a in entry.source:
            for b in entry.target:
                if a in source and b in target:
                    mine[target[b]].add(source[a])
                    theirs[source[a]].add(target[b])
    only = {b: next(iter(some)) for b, some in mine.items() if len(some) == 1}
    return {b: a for b, a in only.items() if len(theirs[a]) == 1}


def whole_layers(layers: Mapping[str, str], source: Sequence[TracedCall]) -> dict[str, str]:
    """Of paired layers, those that compute something as a whole: layers of a known kind, and those without parts."""
    around = {source[call.parent].path for call in source if call.parent is not None}
    kinds = {call.path: call.kind for call in source if call.cls}
    whole = {path for path, kind in kinds.items() if path and (kind is not None or path not in around)}
    return {b: a for b, a in layers.items() if b and a in whole}


def side_of(calls: Sequence[TracedCall], anchors: Iterable[str]) -> Side:
    """One run; `anchors` are the paths of layers that are judged as a whole."""
    paths, inner = set(anchors), set()
    for call in calls:
        if call.parent is not None and (call.parent in inner or calls[call.parent].path in paths):
            inner.add(call.number)
    return Side(calls, frozenset(inner), frozenset(call.parent for call in calls if call.parent is not None))


def sure_pairs(anchors: Mapping[str, str], source: Side, target: Side) -> dict[int, int]:
    """Target call → source call of these layers, the n-th with the n-th."""
    known = {
        (call.path, call.nth): call.number for call in source.calls if call.cls and call.number not in source.inner
    }
    found = {}
    for call in target.calls:
        if call.number not in target.inner and call.path in anchors:
            partner = known.get((anchors[call.path], call.nth))
            if partner is not None:
                found[call.number] = partner
    return found


def likely_pairs(sure: dict[int, int], source: Side, target: Side, shapes: tuple[Shapes, Shapes]) -> dict[int, int]:
    """Target call → source call of the others: probes by name, containers by what is in them, leaves in between.

    Args:
        sure: what is paired already.
        source: one run.
        target: the other.
        shapes: number of a call → the shapes of its outputs, of the source and of the target.
    """
    found = {0: 0}
    taken = {*sure.values(), 0}
    rest = [
        [c for c in side.calls if c.number and c.number not in side.inner and c.number not in used]
        for side, used in ((source, taken), (target, sure))
    ]
    held = _content(source, {a: b for b, a in sure.items()}), _content(target, {b: b for b in sure})
    by_place = {(c.path, c.nth, bool(c.cls)): c for c in rest[0]}
    for call in rest[1]:  # the same path, and nothing speaks against it
        other = by_place.get((call.path, call.nth, bool(call.cls)))
        same_content = other is not None and held[0].get(other.number) == held[1].get(call.number)
        if other is not None and same_content and source.leaf(other) == target.leaf(call):
            found[call.number] = other.number
    _containers(found, sure, source, target)
    taken = {*found.values(), *sure.values()}
    segments: list[dict[int, list[TracedCall]]] = []
    for side, (mine, used) in zip((source, target), ((rest[0], taken), (rest[1], found)), strict=True):
        anchors = {b: b for b in sure} if side is target else {a: b for b, a in sure.items()}
        segments.append(_segments(side, [c for c in mine if c.number not in used and side.leaf(c) and c.cls], anchors))
    for key, theirs in segments[1].items():
        for a, b in _aligned(segments[0].get(key, []), theirs, shapes):
            found[b.number] = a.number
    return {b: a for b, a in found.items() if b not in sure}


def _segments(side: Side, calls: Iterable[TracedCall], anchors: dict[int, int]) -> dict[int, list[TracedCall]]:
    """Calls by the sure call that began last before them, called by the target's number."""
    before, latest = {}, -1
    for call in side.calls:
        before[call.number] = latest
        latest = anchors.get(call.number, latest)
    found: dict[int, list[TracedCall]] = defaultdict(list)
    for call in calls:
        found[before[call.number]].append(call)
    return found


def _content(side: Side, names: Mapping[int, int]) -> dict[int, set[int]]:
    """Container → the sure calls in it, under the names that both sides share."""
    inside: dict[int, set[int]] = defaultdict(set)
    for number, name in names.items():
        parent = side.calls[number].parent
        while parent is not None:
            inside[parent].add(name)
            parent = side.calls[parent].parent
    return inside


def _containers(found: dict[int, int], sure: dict[int, int], source: Side, target: Side) -> None:
    """Pair containers that hold the same sure calls, the outermost first."""
    held = []
    for side, names in ((source, {a: b for b, a in sure.items()}), (target, {b: b for b in sure})):
        inside = _content(side, names)
        groups: dict[frozenset[int], list[int]] = defaultdict(list)
        for number in sorted(inside):
            groups[frozenset(inside[number])].append(number)
        held.append(groups)
    taken = set(found.values())
    for content, theirs in held[1].items():
        mine = held[0].get(content, [])
        free = [n for n in theirs if n not in found], [n for n in mine if n not in taken]
        if len(free[0]) == len(free[1]):
            found.update(zip(*free, strict=True))


def _aligned(
    source: Sequence[TracedCall], target: Sequence[TracedCall], shapes: tuple[Shapes, Shapes]
) -> list[tuple[TracedCall, TracedCall]]:
    """The best alignment of two short sequences, in order."""
    n, m = len(source), len(target)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    scores = [[_score(a, b, shapes) for b in target] for a in source]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + scores[i][j] if scores[i][j] else 0)
    pairs, i, j = [], 0, 0
    while i < n and j < m:
        if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j]:
            pairs.append((source[i], target[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _score(a: TracedCall, b: TracedCall, shapes: tuple[Shapes, Shapes]) -> float:
    """What speaks for two calls being the same; 0 when too little does."""
    names = [call.path.rpartition(".")[2].lower() for call in (a, b)]
    score = 0.0
    if a.kind is not None and a.kind == b.kind:
        score += _SAME_KIND
    score += _SAME_PATH if a.path == b.path else _NEAR_NAME * SequenceMatcher(None, names[0], names[1]).ratio()
    if score >= _ENOUGH and shapes[0].get(a.number) == shapes[1].get(b.number):
        score += 1
    return score if score >= _ENOUGH else 0.0
