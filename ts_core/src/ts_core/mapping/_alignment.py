"""Aligning two trees of layers: which layer of one is which layer of the other.

Both networks are trees of modules whose leaves are :class:`~ts_core.mapping._units.Unit`. What a subtree *contains* is
the multiset of the signatures of its leaves; nesting, names and order within it do not change that. Subtrees are
matched from the largest to the smallest, as in the top-down phase of GumTree (Falleri et al., "Fine-grained and
accurate source code differencing", ASE 2014): equal contents first, then nearly equal ones by an alignment of the two
sequences; what finds no partner as a whole is opened and its parts are matched. Inside a matched pair only its own
parts compete, so a network of a hundred equal blocks is as easy as its blocks. Between equals names decide, then order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeVar

import numpy as np

from ts_core.mapping._choosing import DEFINITION, EXECUTION, GUESSED, NAME, ORDER, STRUCTURE, WORDS, assign
from ts_core.mapping._names import numbers, overlap, spelling, words
from ts_core.mapping._tree import BY_POSITION, Node, Trees
from ts_core.mapping._units import Unit

# Two subtrees are versions of one another when they share this part of their leaves: with a word in common, or without.
_ALIKE, _ALIKE_UNNAMED = 0.7, 0.85
# What a leaf counts that both have but for a bias or the like.
_NEARLY = 0.95

T = TypeVar("T")
Sides = tuple[list[T], list[T]]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two units that belong together.

    Attributes:
        source: unit of the source.
        target: unit of the target.
        evidence: what decided: :data:`STRUCTURE` left one possibility, or :data:`NAME`, :data:`ORDER`, that of
            :data:`DEFINITION` or of :data:`EXECUTION` chose, between them or between modules that they are in.
        sound: whether the surroundings agree as well: no equal module was left over on either side.
        loose: nothing but being left over speaks for it: it needs the same place, or the same name.
        by_position: nothing but the order of definition, or of execution, chose it inside its module.
    """

    source: Unit
    target: Unit
    evidence: str
    sound: bool
    loose: bool = False
    by_position: bool = False


def align(
    source: Iterable[Unit], target: Iterable[Unit], signature: Callable[[Unit], object] = lambda unit: unit.signature
) -> tuple[list[Pair], list[Unit], list[Unit]]:
    """Match the units of two networks, each in order: the pairs, and the units of either side that found no partner.

    Partners have the same `signature`.
    """
    trees = Trees(signature)
    pairs: list[Pair] = []
    left, right = _align(trees.build(source).children, trees.build(target).children, pairs, sound=True)
    return pairs, [node.unit for node in left if node.unit], [node.unit for node in right if node.unit]


def _align(
    left: list[Node], right: list[Node], pairs: list[Pair], sound: bool, guessed: str = "", whole: bool = False
) -> tuple[list[Node], list[Node]]:
    """Match two lists of nodes whose parents belong together; returns the leaves that are left over.

    `guessed`: by which order it was chosen that the parents belong together, and so whatever is matched inside them.
    `whole`: the parents have equal contents.
    """
    left, right = list(left), list(right)
    direct = {id(_leaf(node)) for node in (*left, *right) if node.leaves == 1}
    spare_left: list[Node] = []
    spare_right: list[Node] = []
    while True:
        size = max((node.leaves for node in (*left, *right)), default=0)
        if size <= 1:
            break
        chosen = [*_equal(left, right, size), *_alike(left, right, size)]
        for a, b, evidence, undoubted in chosen:
            if a.unit is not None or b.unit is not None:
                continue  # one leaf against a module of several: open the module first
            left.remove(a)
            right.remove(b)
            by_order = guessed or (evidence if evidence in GUESSED else "")
            inside = sound and undoubted and not by_order
            rest = _align(a.children, b.children, pairs, inside, by_order, a.content == b.content)
            spare_left += rest[0]
            spare_right += rest[1]
        left, right = _opened(left, size), _opened(right, size)
    left, right = [_leaf(node) for node in left], [_leaf(node) for node in right]
    left, right = _settle(left, right, pairs, _Setting(sound, guessed, loose=not whole), direct)
    if spare_left or spare_right:
        setting = _Setting(False, guessed, loose=True)
        left, right = _settle([*left, *spare_left], [*right, *spare_right], pairs, setting, set())
    return left, right


def _leaf(node: Node) -> Node:
    """The one leaf of a module of one leaf."""
    while node.unit is None:
        (node,) = node.children
    return node


def _opened(nodes: list[Node], size: int) -> list[Node]:
    """The nodes, those of this many leaves replaced by their children, in order."""
    return [part for node in nodes for part in (node.children if node.leaves >= size and not node.unit else (node,))]


def side_by_side(left: Iterable[T], right: Iterable[T], key: Callable[[T], object]) -> Iterable[Sides[T]]:
    """The items of either side that have the same key, for each key."""
    groups: dict[object, Sides[T]] = defaultdict(lambda: ([], []))
    for side, items in enumerate((left, right)):
        for item in items:
            groups[key(item)][side].append(item)
    return groups.values()


def _of_size(left: list[Node], right: list[Node], size: int) -> Iterable[Sides[Node]]:
    """The modules of this size, those of equal contents side by side."""
    ours, theirs = ([node for node in nodes if node.leaves == size] for nodes in (left, right))
    return side_by_side(ours, theirs, attrgetter("content"))


Choice = tuple[Node, Node, str, bool]


def _equal(left: list[Node], right: list[Node], size: int) -> Iterator[Choice]:
    """Modules of this size with equal contents, when both sides have equally many of them."""
    for a, b in _of_size(left, right, size):
        if len(a) == len(b):
            yield from ((x, y, evidence, True) for x, y, evidence in assign(a, b))


def _alike(left: list[Node], right: list[Node], size: int) -> list[Choice]:
    """Modules of about this size whose contents are nearly equal, in an order-preserving alignment."""
    settled = {id(node) for a, b in _of_size(left, right, size) if len(a) == len(b) for node in (*a, *b)}
    smallest = size * _ALIKE / (2 - _ALIKE)
    first = [n for n in left if n.leaves >= smallest and not n.unit and id(n) not in settled]
    second = [n for n in right if n.leaves >= smallest and not n.unit and id(n) not in settled]
    if not first or not second:
        return []
    scores = _scores(first, second)
    choices = []
    for i, j in _best_chain(scores):
        a, b = first[i], second[j]
        if max(a.leaves, b.leaves) == size:
            rivals = [scores[k, j] for k, n in enumerate(first) if k != i and n.content == a.content]
            rivals += [scores[i, k] for k, n in enumerate(second) if k != j and n.content == b.content]
            evidence = NAME if rivals else STRUCTURE
            choices.append((a, b, evidence if max(rivals, default=0) < scores[i, j] else ORDER, not rivals))
    return choices


def _scores(left: list[Node], right: list[Node]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """How alike each two modules are: shared leaves, or equally many elements; a little more for names and numbers.

    Modules without a word in common need more; but not where as many stand in a row on either side, for their places.
    """
    known: dict[tuple[int, int], float] = {}
    rows = len(left) == len(right) > 1 and all(
        len({node.path.count(".") for node in side}) == 1 for side in (left, right)
    )
    table = np.zeros((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            key = (a.content, b.content)
            if key not in known:
                shared = max((a.counts & b.counts).total(), (a.plain & b.plain).total() * _NEARLY)
                shared *= 2 / (a.leaves + b.leaves)
                known[key] = max(shared, 0.9) if a.elements == b.elements else shared
            if known[key] >= _ALIKE:
                near = overlap(words(a.path), words(b.path))
                same = near == 1.0 and spelling(a.path) == spelling(b.path)
                if near > 0 or known[key] >= _ALIKE_UNNAMED or (rows and i == j):
                    counted = numbers(a.path)[-1:] == numbers(b.path)[-1:] != ()
                    table[i, j] = known[key] + (0.2 if same else 0.1 * near + 0.05 * counted)
    return table


def _best_chain(scores: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[tuple[int, int]]:
    """The order-preserving pairing with the largest total score (Needleman and Wunsch, 1970, without gap costs)."""
    rows, columns = scores.shape
    best = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        best[i + 1, 1:] = np.maximum(best[i, 1:], best[i, :-1] + scores[i])
        np.maximum.accumulate(best[i + 1], out=best[i + 1])
    chain = []
    i, j = rows, columns
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            chain.append((i, j))
    return chain[::-1]


@dataclass(frozen=True, slots=True)
class _Setting:
    """What is known of the place where leaves are matched; see :class:`Pair`."""

    sound: bool
    guessed: str
    loose: bool

    def pair(self, a: Node, b: Node, evidence: str, sound: bool, loose: bool) -> Pair:
        assert a.unit is not None  # these are leaves
        assert b.unit is not None
        by_position = evidence in (DEFINITION, EXECUTION)
        return Pair(a.unit, b.unit, self.guessed or evidence, sound, loose, by_position)


def _settle(
    left: list[Node], right: list[Node], pairs: list[Pair], setting: _Setting, direct: Container[int]
) -> tuple[list[Node], list[Node]]:
    """Match leaves; returns those that are left over. `direct` are those that no module had to be opened for."""
    spare_left: list[Node] = []
    spare_right: list[Node] = []
    for a, b in side_by_side(left, right, attrgetter("content")):
        for x, y in _by_family(a, b):
            used: set[int] = set()
            if len(x) == len(y):
                for m, n, evidence in assign(x, y):
                    assert m.unit is not None
                    loose = setting.loose and (not direct or (evidence == STRUCTURE and m.unit.flat))
                    pairs.append(setting.pair(m, n, evidence, setting.sound, loose))
                    used |= {id(m), id(n)}
            elif x and y:
                for m, n in _unequal(x, y, direct):
                    pairs.append(setting.pair(m, n, NAME, False, not direct))
                    used |= {id(m), id(n)}
            spare_left += [node for node in x if id(node) not in used]
            spare_right += [node for node in y if id(node) not in used]
    return sorted(spare_left, key=BY_POSITION), sorted(spare_right, key=BY_POSITION)


def _by_family(left: list[Node], right: list[Node]) -> Iterator[tuple[list[Node], list[Node]]]:
    """Leaves of equal signatures, parted where their kinds cannot be partners."""
    families = {n.unit.family for n in (*left, *right) if n.unit}
    if len(families) <= 1 or None in families or families == {"conv", "linear"}:
        yield left, right
        return
    yield from side_by_side(left, right, lambda node: node.unit and node.unit.family)


def _unequal(left: list[Node], right: list[Node], direct: Container[int]) -> Iterator[tuple[Node, Node]]:
    """Of leaves of one signature, more on one side than on the other: those whose names leave no doubt.

    Their paths say the same; or each is the only one at its level, and they have a word in common.
    """
    named = side_by_side(left, right, lambda node: spelling(node.path))
    same = [(a[0], b[0]) for a, b in named if len(a) == len(b) == 1]
    yield from same
    used = {id(node) for pair in same for node in pair}
    outer = [[n for n in nodes if id(n) in direct and id(n) not in used] for nodes in (left, right)]
    if len(outer[0]) == len(outer[1]) == 1 and overlap(words(outer[0][0].path), words(outer[1][0].path)) > WORDS:
        yield outer[0][0], outer[1][0]
