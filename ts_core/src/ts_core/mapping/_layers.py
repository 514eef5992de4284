"""Which layer of one network is which of another: by their parameters, and where they have none, by kind and order.

Layers with parameters are paired by the weight map; they are the *anchors*. The others are paired by their names inside
containers that belong together, then by kind and order between paired neighbours, and what is then left over in such
containers by kind and order again. Nothing is run: in which order the layers stand is the caller's business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ts_core.contract.layers import KINDS
from ts_core.contract.nouns import Parameter
from ts_core.mapping._matching import match
from ts_core.mapping._units import units_of_parameters
from ts_core.mapping._weight_map import WeightMap

BY_WEIGHTS, BY_NAME, BY_ORDER, LEFT_OVER = "weights", "name", "order", "left over"
# Kinds of which one may stand where the other side has another one, which is then a difference.
_GROUPS = (
    "relu relu6 sigmoid log_sigmoid tanh silu mish selu softsign hardswish hardsigmoid tanhshrink softshrink "
    "hardshrink elu celu leaky_relu rrelu gelu hardtanh softplus threshold prelu",
    "softmax log_softmax softmin softmax2d",
    "max_pool avg_pool lp_pool adaptive_max_pool adaptive_avg_pool fractional_max_pool",
    "dropout alpha_dropout feature_alpha_dropout",
    "zero_pad constant_pad reflection_pad replication_pad circular_pad",
    "upsample pixel_shuffle",
)
_GROUP = {family: group for group, families in enumerate(_GROUPS) for family in families.split()}
_MOST = 250_000  # pairs of layers that are looked at between two neighbours


class Placed(Protocol):
    """A layer in its place."""

    @property
    def path(self) -> str:
        """Where it is found from the network."""

    @property
    def kind(self) -> str | None:
        """What it is, in canonical terms; None when no rule knows it."""

    @property
    def cls(self) -> str:
        """Its class."""


@dataclass(frozen=True, slots=True)
class LayerPair:
    """Two layers, by their paths, and how they were found: ``weights``, ``name``, ``order`` or ``left over``."""

    source: str
    target: str
    how: str


@dataclass(frozen=True, slots=True)
class LayerPairs:
    """Which layer is which.

    Attributes:
        pairs: in the order of the source.
        source: paths of the source's layers without a partner, in their order.
        target: paths of the target's layers without a partner, in their order.
    """

    pairs: tuple[LayerPair, ...]
    source: tuple[str, ...]
    target: tuple[str, ...]


def anchors(
    weight_map: WeightMap,
    source: Mapping[str, Sequence[str]],
    target: Mapping[str, Sequence[str]],
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The layers that a weight map pairs.

    Args:
        weight_map: from the names of the one network to those of the other.
        source: name of a parameter → the paths of the layers that have it (several when it is tied).
        target: the same of the target.

    Returns:
        Layers that belong to each other alone, source → target; and pairs of which one side is several layers: the
        projections of an attention that the other side has in one.
    """
    partners: dict[str, dict[str, int]] = defaultdict(dict)
    owned: dict[str, dict[str, int]] = defaultdict(dict)
    for entry in weight_map.entries:
        for name in entry.source:
            for becomes in entry.target:
                # of tied tensors the n-th place belongs to the n-th
                for a, b in zip(source.get(name, ()), target.get(becomes, ()), strict=False):
                    partners[a][b] = owned[b][a] = 1
    alone = {a: next(iter(bs)) for a, bs in partners.items() if len(bs) == 1 and len(owned[next(iter(bs))]) == 1}
    shared = [(a, b) for a, bs in partners.items() for b in bs if alone.get(a) != b]
    return alone, shared


def match_parameters(source: Iterable[Parameter], target: Iterable[Parameter]) -> WeightMap:
    """The weight map between two networks that are known by their parameters, whose values need not be there.

    Raises:
        WeightMapError: the two have next to nothing in common.
    """
    return match(units_of_parameters(source), units_of_parameters(target))


def owners(parameters: Iterable[Parameter], opened: Iterable[str] = ()) -> dict[str, list[str]]:
    """Name of a parameter → the paths of the layers that own it; of an `opened` layer the part of it that does."""
    inner = set(opened)
    found: dict[str, list[str]] = defaultdict(list)
    for one in parameters:
        if one.persistent:
            layer = one.path.rpartition(".")[0] if one.layer in inner else one.layer
            found[one.tied_to or one.name].append(layer)
            if one.tied_to and one.tied_to != one.name:
                found[one.name].append(layer)
    return found


def pair_layers(
    source: Sequence[Placed],
    target: Sequence[Placed],
    anchored: Mapping[str, str],
    several: Sequence[tuple[str, str]] = (),
) -> LayerPairs:
    """Pair the layers of two networks.

    Args:
        source: its layers that are no mere containers, in the order in which they are defined, or run.
        target: the same of the target.
        anchored: the layers with parameters, source path → target path; see :func:`anchors`.
        several: pairs of which one side is several layers: neighbours to the others, and no pairs themselves.
    """
    pairing = _Pairing(source, target, anchored, several)
    pairing.by_names()
    pairing.by_order()
    pairing.of_the_rest()
    return pairing.result()


class _Side:
    """The layers of one side: where each stands, and which are spoken for."""

    def __init__(self, layers: Sequence[Placed]) -> None:
        self.layers = layers
        self.place = {layer.path: place for place, layer in enumerate(layers)}
        self.taken = [False] * len(layers)

    def free(self, begin: int = 0, end: int | None = None) -> list[int]:
        return [place for place in range(begin, len(self.layers) if end is None else end) if not self.taken[place]]


class _Pairing:
    def __init__(
        self,
        source: Sequence[Placed],
        target: Sequence[Placed],
        anchored: Mapping[str, str],
        several: Sequence[tuple[str, str]],
    ) -> None:
        self.ours, self.theirs = _Side(source), _Side(target)
        self.found: dict[int, tuple[int, str]] = {}
        self.cuts: list[tuple[int, int]] = []  # neighbours that are no pairs
        for one, other in anchored.items():
            if one in self.ours.place and other in self.theirs.place:
                self._pair(self.ours.place[one], self.theirs.place[other], BY_WEIGHTS)
        for one, other in several:
            places = self.ours.place.get(one), self.theirs.place.get(other)
            for side, place in zip((self.ours, self.theirs), places, strict=True):
                if place is not None:
                    side.taken[place] = True
            if places[0] is not None and places[1] is not None:
                self.cuts.append((places[0], places[1]))
        self.containers = _containers([*anchored.items(), *several], source, target)

    def _pair(self, ours: int, theirs: int, how: str) -> None:
        self.found[ours] = theirs, how
        self.ours.taken[ours] = self.theirs.taken[theirs] = True

    def by_names(self) -> None:
        """Layers of the same name in containers that belong together."""
        free = {self.theirs.layers[place].path: place for place in self.theirs.free()}
        for place in self.ours.free():
            layer = self.ours.layers[place]
            parent, _, local = layer.path.rpartition(".")
            if parent in self.containers:
                other = free.get(f"{self.containers[parent]}.{local}".lstrip("."))
                if other is not None and _likeness(layer, self.theirs.layers[other]) > 1:
                    self._pair(place, other, BY_NAME)

    def by_order(self) -> None:
        """By kind and order, between neighbours that are paired already."""
        cuts = _increasing(sorted([*((a, b) for a, (b, _) in self.found.items()), *self.cuts]))
        begin = (0, 0)
        for end in [*cuts, (len(self.ours.layers), len(self.theirs.layers))]:
            self._align(self.ours.free(begin[0], end[0]), self.theirs.free(begin[1], end[1]), BY_ORDER, 1)
            begin = end[0] + 1, end[1] + 1

    def of_the_rest(self) -> None:
        """What is left over, in the innermost containers that belong together, and then further out."""
        for ours in sorted(self.containers, key=lambda path: -path.count(".") - bool(path)):
            theirs = self.containers[ours]
            left, right = (
                [place for place in side.free() if _inside(side.layers[place].path, container)]
                for side, container in ((self.ours, ours), (self.theirs, theirs))
            )
            if left and right and (ours or _families(self.ours, left) == _families(self.theirs, right)):
                self._align(left, right, LEFT_OVER, 2)

    def _align(self, left: list[int], right: list[int], how: str, least: float) -> None:
        if left and right:
            ours, theirs = [self.ours.layers[a] for a in left], [self.theirs.layers[b] for b in right]
            few = len(left) * len(right) <= _MOST
            for a, b in _best_chain(ours, theirs, least) if few else _one_by_one(ours, theirs):
                self._pair(left[a], right[b], how)

    def result(self) -> LayerPairs:
        ours, theirs = self.ours.layers, self.theirs.layers
        pairs = tuple(LayerPair(ours[a].path, theirs[b].path, how) for a, (b, how) in sorted(self.found.items()))
        spare = (tuple(side.layers[place].path for place in side.free()) for side in (self.ours, self.theirs))
        return LayerPairs(pairs, *spare)


def _families(side: _Side, places: Iterable[int]) -> Counter[str]:
    return Counter(_family(side.layers[place]) for place in places)


def _family(layer: Placed) -> str:
    """What a layer is, whatever its dimensions; the name of its class where nobody knows."""
    if layer.kind is None:
        return layer.cls.rpartition(".")[2]
    return KINDS[layer.kind].family if layer.kind in KINDS else layer.kind


def _likeness(one: Placed, other: Placed) -> float:
    """How well two layers without parameters go together; 0 when they do not."""
    ours, theirs = _family(one), _family(other)
    same_name = one.path.rpartition(".")[2] == other.path.rpartition(".")[2]
    if ours == theirs:
        return 4 + same_name + (one.kind == other.kind)
    if ours in _GROUP and _GROUP[ours] == _GROUP.get(theirs):
        return 1.5 + same_name
    return 1.25 if same_name and "identity" in (ours, theirs) else 0


def _containers(
    anchored: Iterable[tuple[str, str]], source: Sequence[Placed], target: Sequence[Placed]
) -> dict[str, str]:
    """Containers that belong together: all that is anchored inside the one has its partners inside the other.

    A container in which nothing is anchored belongs to the one of the same name beside it.
    """
    pairs = list(anchored)
    ways = _meeting(pairs), _meeting((b, a) for a, b in pairs)
    found = {"": ""}
    found.update((a, b) for a, b in ways[0].items() if b and ways[1].get(b) == a)
    beside = {container for layer in target for container in _above(layer.path)} - ways[1].keys()
    for layer in source:
        for container in reversed(_above(layer.path)):
            parent, _, local = container.rpartition(".")
            if container not in found and container not in ways[0] and parent in found:
                other = f"{found[parent]}.{local}".lstrip(".")
                if other in beside:
                    beside.discard(other)
                    found[container] = other
    return found


def _meeting(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A container → the innermost container that holds the partners of all that is in it."""
    held: dict[str, list[str]] = {}
    for one, other in pairs:
        around = other.split(".")[:-1]
        for container in _above(one):
            known = held.setdefault(container, around)
            if known is not around:
                same = next((i for i, (a, b) in enumerate(zip(known, around, strict=False)) if a != b), None)
                held[container] = known[: min(len(known), len(around)) if same is None else same]
    return {container: ".".join(parts) for container, parts in held.items()}


def _above(path: str) -> list[str]:
    """The containers of a layer, the innermost first, without the network itself."""
    found = []
    while "." in path:
        path = path.rpartition(".")[0]
        found.append(path)
    return found


def _inside(path: str, container: str) -> bool:
    return not container or path.startswith(f"{container}.")


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs, sorted by their first number, in which the second increases too."""
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for number, (_, second) in enumerate(pairs):
        place = bisect_left(ends, second)
        before.append(at[place - 1] if place else -1)
        ends[place : place + 1] = [second]
        at[place : place + 1] = [number]
    chain = []
    number = at[-1] if at else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _best_chain(ours: Sequence[Placed], theirs: Sequence[Placed], least: float) -> list[tuple[int, int]]:
    """The pairs, both sides in their order, which are the most alike in sum; none is alike by `least` or less."""
    rows, columns = len(ours), len(theirs)
    scores = [[_likeness(one, other) for other in theirs] for one in ours]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for a in range(rows - 1, -1, -1):
        for b in range(columns - 1, -1, -1):
            taken = scores[a][b] + best[a + 1][b + 1] if scores[a][b] > least else 0.0
            best[a][b] = max(taken, best[a + 1][b], best[a][b + 1])
    chain = []
    a = b = 0
    while a < rows and b < columns:
        if scores[a][b] > least and best[a][b] == scores[a][b] + best[a + 1][b + 1]:
            chain.append((a, b))
            a, b = a + 1, b + 1
        elif best[a][b] == best[a + 1][b]:
            a += 1
        else:
            b += 1
    return chain


def _one_by_one(ours: Sequence[Placed], theirs: Sequence[Placed]) -> list[tuple[int, int]]:
    """The n-th of a kind with the n-th, where there are too many to look at all pairs."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for b in reversed(range(len(theirs))):
        waiting[_family(theirs[b])].append(b)
    return [(a, waiting[_family(one)].pop()) for a, one in enumerate(ours) if waiting[_family(one)]]
