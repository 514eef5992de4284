"""Which layer of one network is which of another: by their parameters, and where they have none, by kind and order.

Layers with parameters are paired by the weight map; they are the *anchors*. The others are paired by their names inside
containers that belong together, then by kind and order between paired neighbours, and what is then left over in such
containers by kind and order again. Nothing is run: in which order the layers stand is the caller's business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ts_core.contract.layers import KINDS
from ts_core.contract.settings import SettingValue

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

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        """What it was told."""


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
        code: layers whose place the other side has a container of its own in, source path → target path.
    """

    pairs: tuple[LayerPair, ...]
    source: tuple[str, ...]
    target: tuple[str, ...]
    code: tuple[tuple[str, str], ...] = ()


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
        anchored: the layers with parameters, source path → target path; see :func:`ts_core.mapping.anchors`.
        several: pairs of which one side is several layers: neighbours to the others, and no pairs themselves.
    """
    pairing = _Pairing(source, target, anchored, several)
    pairing.by_names()
    pairing.by_order()
    pairing.of_the_rest()
    return pairing.result()


class _Side:
    """The layers of one side: where each stands, and which are spoken for."""

    def __init__(self, layers: Sequence[Placed], containers: Container[str]) -> None:
        self.layers = layers
        self.place = {layer.path: place for place, layer in enumerate(layers)}
        self.taken = [False] * len(layers)
        # The innermost container that has a partner, or the network itself.
        self.home = [next((c for c in _above(layer.path) if c in containers), "") for layer in layers]
        # Whether nothing is between: a container of its own makes something else of a layer than the layer says.
        self.bare = [home == self._around(layer.path) for home, layer in zip(self.home, layers, strict=True)]
        self.family = [_family(layer) for layer in layers]
        self.told = [{name: told.value for name, told in layer.settings.items()} for layer in layers]

    def _around(self, path: str) -> str:
        """The innermost container that is no layer itself."""
        path = path.rpartition(".")[0]
        while path in self.place and path:
            path = path.rpartition(".")[0]
        return path

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
        self.containers, self.apart = _containers([*anchored.items(), *several], source, target)
        self.ours, self.theirs = _Side(source, self.containers), _Side(target, set(self.containers.values()))
        self.found: dict[int, tuple[int, str]] = {}
        self.code: list[tuple[str, str]] = []
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

    def _pair(self, ours: int, theirs: int, how: str) -> None:
        self.found[ours] = theirs, how
        self.ours.taken[ours] = self.theirs.taken[theirs] = True

    def by_names(self) -> None:
        """Layers of the same name in containers that belong together."""
        for ours, theirs, containers, apart in (
            (self.ours, self.theirs, self.containers, self.apart[1]),
            (self.theirs, self.ours, {b: a for a, b in self.containers.items()}, self.apart[0]),
        ):
            for place in ours.free():
                parent, _, local = ours.layers[place].path.rpartition(".")
                if parent not in containers:
                    continue
                path = f"{containers[parent]}.{local}".lstrip(".")
                other = theirs.place.get(path)
                if other is None:
                    self._of_code(place, path, ours, theirs, apart)
                elif not theirs.taken[other]:
                    pair = (place, other) if ours is self.ours else (other, place)
                    if self._likeness(*pair) > 1:
                        self._pair(*pair, BY_NAME)

    def _of_code(self, place: int, path: str, ours: _Side, theirs: _Side, apart: Container[str]) -> None:
        """A layer in whose place the other side has a container without parameters, and no such layer inside it."""
        if path not in apart:
            return
        inside = [b for b in theirs.free() if theirs.layers[b].path.startswith(f"{path}.")]
        alike = [b for b in inside if theirs.family[b] == ours.family[place]]
        if len(alike) == 1:
            self._pair(*((place, alike[0]) if ours is self.ours else (alike[0], place)), BY_NAME)
        elif not alike:
            for b in inside:
                theirs.taken[b] = True
            ours.taken[place] = True
            one, other = ours.layers[place].path, path
            self.code.append((one, other) if ours is self.ours else (other, one))

    def by_order(self) -> None:
        """By kind and order, between neighbours that are paired already."""
        cuts = _increasing(sorted([*((a, b) for a, (b, _) in self.found.items()), *self.cuts]))
        begin = (0, 0)
        for end in [*cuts, (len(self.ours.layers), len(self.theirs.layers))]:
            self._align(self.ours.free(begin[0], end[0]), self.theirs.free(begin[1], end[1]), BY_ORDER, 1)
            begin = end[0] + 1, end[1] + 1

    def of_the_rest(self) -> None:
        """What is left over in containers that belong together; then what was told the same, wherever it is."""
        left: dict[str, list[int]] = defaultdict(list)
        right: dict[str, list[int]] = defaultdict(list)
        for side, homes in ((self.ours, left), (self.theirs, right)):
            for place in side.free():
                homes[side.home[place]].append(place)
        for home in left:
            if home in self.containers:
                self._align(left[home], right[self.containers[home]], LEFT_OVER, 2)
        self._align(self.ours.free(), self.theirs.free(), LEFT_OVER, 2)

    def _align(self, left: list[int], right: list[int], how: str, least: float) -> None:
        if left and right:
            for a, b in self._best_chain(left, right, least):
                self._pair(a, b, how)

    def _likeness(self, ours: int, theirs: int) -> float:
        """How well two layers go together; 0 when they do not.

        Those that are in containers of which each belongs to another one have to be told the same.
        """
        one, other = self.ours.layers[ours], self.theirs.layers[theirs]
        families = self.ours.family[ours], self.theirs.family[theirs]
        same_name = one.path.rpartition(".")[2] == other.path.rpartition(".")[2]
        same_home = self.containers[self.ours.home[ours]] == self.theirs.home[theirs]
        both_bare = self.ours.bare[ours] and self.theirs.bare[theirs]
        if families[0] == families[1]:
            told_alike = self.ours.told[ours] == self.theirs.told[theirs]
            return 4 + same_name + told_alike + both_bare / 2 if same_home or told_alike else 0
        if same_home and (one.kind is None) != (other.kind is None) and _named_alike(one, other):
            return 2.5 + same_name
        if not (same_home and both_bare):
            return 0
        if families[0] in _GROUP and _GROUP[families[0]] == _GROUP.get(families[1]):
            return 1.5 + same_name
        return 1.25 if same_name and "identity" in families else 0

    def _best_chain(self, left: list[int], right: list[int], least: float) -> list[tuple[int, int]]:
        """The pairs, both sides in their order, which are the most alike in sum; none is alike by `least` or less."""
        rows, columns = len(left), len(right)
        if rows * columns > _MOST:
            return self._one_by_one(left, right)
        scores = [[self._likeness(a, b) for b in right] for a in left]
        best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
        for a in range(rows - 1, -1, -1):
            for b in range(columns - 1, -1, -1):
                taken = scores[a][b] + best[a + 1][b + 1] if scores[a][b] > least else 0.0
                best[a][b] = max(taken, best[a + 1][b], best[a][b + 1])
        chain = []
        a = b = 0
        while a < rows and b < columns:
            if scores[a][b] > least and best[a][b] == scores[a][b] + best[a + 1][b + 1]:
                chain.append((left[a], right[b]))
                a, b = a + 1, b + 1
            elif best[a][b] == best[a + 1][b]:
                a += 1
            else:
                b += 1
        return chain

    def _one_by_one(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """The n-th of a kind with the n-th, where there are too many to look at all pairs."""
        waiting: dict[str, list[int]] = defaultdict(list)
        for b in reversed(right):
            waiting[self.theirs.family[b]].append(b)
        of_a_kind = [(a, waiting[self.ours.family[a]].pop()) for a in left if waiting[self.ours.family[a]]]
        return [(a, b) for a, b in of_a_kind if self._likeness(a, b)]

    def result(self) -> LayerPairs:
        ours, theirs = self.ours.layers, self.theirs.layers
        pairs = tuple(LayerPair(ours[a].path, theirs[b].path, how) for a, (b, how) in sorted(self.found.items()))
        spare = [tuple(side.layers[place].path for place in side.free()) for side in (self.ours, self.theirs)]
        return LayerPairs(pairs, spare[0], spare[1], tuple(self.code))


def _family(layer: Placed) -> str:
    """What a layer is, whatever its dimensions; the name of its class where nobody knows."""
    if layer.kind is None:
        return layer.cls.rpartition(".")[2]
    return KINDS[layer.kind].family if layer.kind in KINDS else layer.kind


def _named_alike(one: Placed, other: Placed) -> bool:
    """Whether a class that no rule knows is called like the kind of the other: ``GlobalAvgPooling``."""
    known, stranger = (one, other) if one.kind is not None else (other, one)
    name = stranger.cls.rpartition(".")[2].lower()
    return all(word in name for word in _family(known).split("_") if word != "adaptive")


def _containers(
    anchored: Iterable[tuple[str, str]], source: Sequence[Placed], target: Sequence[Placed]
) -> tuple[dict[str, str], tuple[set[str], set[str]]]:
    """Containers that belong together: all that is anchored inside the one has its partners inside the other.

    A container in which nothing is anchored belongs to the one of the same name beside it. The second answer are those
    of either side in which nothing is anchored and that have no partner.
    """
    pairs = list(anchored)
    ways = _meeting(pairs), _meeting((b, a) for a, b in pairs)
    found = {"": ""}
    found.update((a, b) for a, b in ways[0].items() if b and ways[1].get(b) == a)
    bare = tuple(
        {container for layer in side for container in _above(layer.path)} - way.keys()
        for side, way in zip((source, target), ways, strict=True)
    )
    for layer in source:
        for container in reversed(_above(layer.path)):
            parent, _, local = container.rpartition(".")
            if container not in found and container not in ways[0] and parent in found:
                other = f"{found[parent]}.{local}".lstrip(".")
                if other in bare[1]:
                    bare[1].discard(other)
                    found[container] = other
    return found, (bare[0] - found.keys(), bare[1])


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
