"""Whether two layers stand in the same place: in modules whose other layers belong together, or beside such layers.

What was left over may fit in kind and shape and still belong elsewhere: a final norm is not the norm of some block. The
pairs that leave no such doubt tell which modules belong together, and what stands before and behind.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter

from ts_core.mapping._alignment import Pair, side_by_side
from ts_core.mapping._choosing import STRUCTURE, WORDS
from ts_core.mapping._names import numbers, overlap, spelling, words
from ts_core.mapping._units import Unit, compatible


class Places:
    """Tells places apart by pairs that are sure of theirs."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        both = [(pair.source, pair.target) for pair in pairs]
        self._partners = [_partners(both), _partners((b, a) for a, b in both)]
        self._rows = [sorted((pair[side] for pair in both), key=attrgetter("position")) for side in (0, 1)]
        self._positions = [[unit.position for unit in row] for row in self._rows]
        self._partner = {id(unit): other for pair in both for unit, other in (pair, pair[::-1])}

    def agree(self, source: Unit, target: Unit) -> bool:
        """Whether two units stand in the same place, as far as the pairs tell."""
        if not self._partner or spelling(source.path) == spelling(target.path):
            return True
        if (
            numbers(source.path) == numbers(target.path) != ()
            and overlap(words(source.path), words(target.path)) > WORDS
        ):
            return True
        inside = [self._inside(0, source, target), self._inside(1, target, source)]
        return (False not in inside and True in inside) or self._beside(source, target)

    def across(self, side: int, unit: Unit) -> int | None:
        """The position, on the other side, of the partner of a unit's neighbour; None when there is none."""
        return next((self._partner[id(near)].position for near in self._neighbours(side, unit)), None)

    def together(self, side: int, units: Iterable[Unit]) -> bool:
        """Whether none of the layers that have a partner stands between these, in the order of definition."""
        return len({bisect(self._positions[side], unit.position) for unit in units}) == 1

    def _inside(self, side: int, unit: Unit, other: Unit) -> bool | None:
        """Whether the module of one holds layers whose partners all stand in one that holds the other; None: no say."""
        for module in _modules(unit.path):
            shared = self._partners[side].get(module)
            if shared is not None:
                return None if not shared else other.path.startswith(f"{shared}.")
        return None

    def _beside(self, source: Unit, target: Unit) -> bool:
        """Whether they have a neighbour in common, in the order of definition or execution."""
        ours, theirs = self._neighbours(0, source), self._neighbours(1, target)
        return any(self._partner[id(unit)] is other for unit in ours for other in theirs)

    def _neighbours(self, side: int, unit: Unit) -> list[Unit]:
        place = bisect(self._positions[side], unit.position)
        row = self._rows[side]
        while place and row[place - 1] is unit:
            place -= 1
        behind = place + 1 if place < len(row) and row[place] is unit else place
        return [*row[max(place - 1, 0) : place], *row[behind : behind + 1]]


def _partners(pairs: Iterable[tuple[Unit, Unit]]) -> dict[str, str]:
    """Module → the innermost module that holds the partners of all that it holds; empty for the whole network."""
    found: dict[str, str] = {}
    for unit, other in pairs:
        inner = other.path.rpartition(".")[0]
        for module in _modules(unit.path):
            found[module] = _common(found[module], inner) if module in found else inner
    return found


def _modules(path: str) -> Iterator[str]:
    """The modules that a layer is in, the innermost first, without the network itself."""
    while path := path.rpartition(".")[0]:
        yield path


def _common(a: str, b: str) -> str:
    if a == b:
        return a
    shared = []
    for one, other in zip(a.split("."), b.split("."), strict=False):
        if one != other:
            break
        shared.append(one)
    return ".".join(shared)


def by_place(
    places: Places,
    left: Sequence[Unit],
    right: Sequence[Unit],
    key: Callable[[Unit], object],
    may_be: Callable[[Unit, Unit], bool] = compatible,
) -> tuple[list[Pair], list[Unit], list[Unit]]:
    """Pair what was left over by its place: units of one key, each of which is the only one in its place.

    Returns:
        The pairs, and what is left over now.
    """
    pairs = []
    for ours, theirs in side_by_side(left, right, key):
        fitting = [(a, b) for a in ours for b in theirs if may_be(a, b) and places.agree(a, b)]
        pairs += [
            Pair(a, b, STRUCTURE, False)
            for a, b in fitting
            if sum(a is x for x, _ in fitting) == sum(b is y for _, y in fitting) == 1
        ]
    return pairs, *without(pairs, left, right)


def behind_partners(pairs: Sequence[Pair], left: Sequence[Unit], right: Sequence[Unit]) -> list[Pair]:
    """The same pairs; norms and the like that only an order chose stand behind the partner of what they stand behind.

    Of several norms of one size, that behind a convolution belongs to the convolution, wherever it was defined.
    """
    partner = {id(pair.source): pair.target for pair in pairs}
    before, after = _neighbour(left, -1), _neighbour(right, 1)
    chosen = {id(pair.source): pair for pair in pairs if pair.by_position and pair.source.flat}
    wanted: dict[int, Pair] = {}  # a unit of the target → the pair that it should be in
    twice: set[int] = set()
    for pair in chosen.values():
        ahead = before.get(id(pair.source))
        other = after.get(id(partner.get(id(ahead)))) if ahead is not None and id(ahead) not in chosen else None
        if other is not None and other.signature == pair.target.signature:
            twice |= {id(other)} & wanted.keys()
            wanted[id(other)] = pair
    holder = {id(pair.target): id(pair.source) for pair in chosen.values()}
    target = {id(pair.source): pair.target for pair in chosen.values()}
    for one, pair in wanted.items():
        mine, theirs = id(pair.source), holder.get(one)
        if one not in twice and theirs is not None and theirs != mine:
            target[mine], target[theirs] = target[theirs], target[mine]
            holder[id(target[mine])], holder[id(target[theirs])] = mine, theirs
    return [replace(pair, target=target.get(id(pair.source), pair.target)) for pair in pairs]


def _neighbour(units: Sequence[Unit], step: int) -> dict[int, Unit]:
    """Unit → the one before it, or behind it, in the order of definition or execution."""
    row = sorted(units, key=attrgetter("position"))
    return {id(b): a for a, b in pairwise(row)} if step < 0 else {id(a): b for a, b in pairwise(row)}


def without(pairs: Iterable[Pair], left: Iterable[Unit], right: Iterable[Unit]) -> tuple[list[Unit], list[Unit]]:
    """What of either side is in none of these pairs."""
    used = {id(unit) for pair in pairs for unit in (pair.source, pair.target)}
    return [unit for unit in left if id(unit) not in used], [unit for unit in right if id(unit) not in used]
