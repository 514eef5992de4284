"""Aligning two trees of layers: which layer of one is which layer of the other.

Both networks are trees of modules whose leaves are :class:`~ts_core.mapping._units.Unit`. What a subtree *contains* is
the multiset of the signatures of its leaves; nesting, names and order within it do not change that. Subtrees are
matched from the largest to the smallest, as in the top-down phase of GumTree (Falleri et al., "Fine-grained and
accurate source code differencing", ASE 2014): equal contents first, then nearly equal ones by an alignment of the two
sequences; what finds no partner as a whole is opened and its parts are matched. Inside a matched pair only its own
parts compete, so a network of a hundred equal blocks is as easy as its blocks. Between equals names decide, then order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeVar

import numpy as np

from ts_core.mapping._names import distinguishing, numbers, overlap, words
from ts_core.mapping._units import Unit

# Two subtrees are versions of one another when they share this part of their leaves: with a word in common, or without.
_ALIKE, _ALIKE_UNNAMED = 0.7, 0.85
# Words decide between equals when they have this much in common.
_WORDS = 0.3

NAME, STRUCTURE, ORDER = "name", "structure", "order"

T = TypeVar("T")
Sides = tuple[list[T], list[T]]


@dataclass(eq=False, slots=True)
class Node:
    """A module, or a leaf of the tree: one unit."""

    path: str
    position: int
    unit: Unit | None = None
    children: list[Node] = field(default_factory=list)
    leaves: int = 1
    content: int = 0  # equal numbers: equal multisets of signatures
    counts: Counter[int] = field(default_factory=Counter)
    elements: int = 0


_POSITION = attrgetter("position")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two units that belong together.

    Attributes:
        source: unit of the source.
        target: unit of the target.
        evidence: what decided: :data:`STRUCTURE` left one possibility, or :data:`NAME` or :data:`ORDER` chose, between
            them or between modules that they are in.
        sound: whether the surroundings agree as well: no equal module was left over on either side.
    """

    source: Unit
    target: Unit
    evidence: str
    sound: bool


class Trees:
    """Builds the trees of both sides with one numbering of signatures and contents."""

    def __init__(self, signature: Callable[[Unit], object]) -> None:
        self._signature = signature
        self._signatures: dict[object, int] = {}
        self._contents: dict[object, int] = {}

    def build(self, units: Iterable[Unit]) -> Node:
        """The tree of one side."""
        root = Node("", -1)
        modules = {"": root}
        for unit in units:
            parent = root
            components = unit.path.split(".") if unit.path else []
            for depth in range(1, len(components)):
                path = ".".join(components[:depth])
                if path not in modules:
                    modules[path] = Node(path, unit.position)
                    parent.children.append(modules[path])
                parent = modules[path]
            parent.children.append(Node(unit.path, unit.position, unit))
        self._measure(root)
        return root

    def _measure(self, node: Node) -> None:
        stack = [(node, False)]
        while stack:
            node, done = stack.pop()
            if node.unit is not None:
                signature = self._signatures.setdefault(self._signature(node.unit), len(self._signatures))
                node.counts, node.elements = Counter((signature,)), node.unit.elements
            elif not done:
                stack.append((node, True))
                stack.extend((child, False) for child in node.children)
                continue
            else:
                for child in node.children:
                    node.counts.update(child.counts)
                node.leaves = sum(child.leaves for child in node.children)
                node.elements = sum(child.elements for child in node.children)
            key = tuple(sorted(node.counts.items()))
            node.content = self._contents.setdefault(key, len(self._contents))


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
    left: list[Node], right: list[Node], pairs: list[Pair], sound: bool, guessed: bool = False
) -> tuple[list[Node], list[Node]]:
    """Match two lists of nodes whose parents belong together; returns the leaves that are left over.

    `guessed`: that the parents belong together was chosen by order, and so is whatever is matched inside them.
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
        for a, b, evidence, whole in chosen:
            if a.unit is not None or b.unit is not None:
                continue  # one leaf against a module of several: open the module first
            left.remove(a)
            right.remove(b)
            by_order = guessed or evidence == ORDER
            rest = _align(a.children, b.children, pairs, sound and whole and not by_order, by_order)
            spare_left += rest[0]
            spare_right += rest[1]
        left, right = _opened(left, size), _opened(right, size)
    left, right = _settle(
        [_leaf(node) for node in left], [_leaf(node) for node in right], pairs, sound, guessed, direct
    )
    if spare_left or spare_right:
        left, right = _settle([*left, *spare_left], [*right, *spare_right], pairs, False, guessed, set())
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
            yield from ((x, y, evidence, True) for x, y, evidence in _assign(a, b))


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
    """How alike each two modules are: shared leaves, or equally many elements; a little more for names and numbers."""
    known: dict[tuple[int, int], float] = {}
    table = np.zeros((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            key = (a.content, b.content)
            if key not in known:
                shared = (a.counts & b.counts).total() * 2 / (a.leaves + b.leaves)
                known[key] = max(shared, 0.9) if a.elements == b.elements else shared
            if known[key] >= _ALIKE:
                near = overlap(words(a.path), words(b.path))
                same = near == 1.0 and numbers(a.path) == numbers(b.path)
                if near > 0 or known[key] >= _ALIKE_UNNAMED:
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


def _assign(left: list[Node], right: list[Node]) -> Iterator[tuple[Node, Node, str]]:
    """Pair equally many nodes of equal contents: by words where they tell, then by numbers, then by order."""
    if len(left) == 1:
        yield left[0], right[0], STRUCTURE
        return
    left_classes, right_classes = _classes(left), _classes(right)
    rest_left, rest_right = dict(left_classes), dict(right_classes)
    for a, b in _by_words(left_classes, right_classes):
        yield from _in_order(rest_left.pop(a), rest_right.pop(b), bool(a) and bool(b))
    if rest_left:
        yield from _in_order(
            sorted((n for nodes in rest_left.values() for n in nodes), key=_POSITION),
            sorted((n for nodes in rest_right.values() for n in nodes), key=_POSITION),
            named=False,
        )


def _classes(nodes: list[Node]) -> dict[frozenset[str], list[Node]]:
    """Nodes by the words that distinguish them from one another."""
    classes: dict[frozenset[str], list[Node]] = defaultdict(list)
    for node, own in zip(nodes, distinguishing(node.path for node in nodes), strict=True):
        classes[own].append(node)
    return classes


def _by_words(
    left: dict[frozenset[str], list[Node]], right: dict[frozenset[str], list[Node]]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Classes of equal size that are nearest to each other by their words, the nearest first."""
    if len(left) == len(right) == 1:
        yield next(iter(left)), next(iter(right))
        return
    near = sorted(
        ((overlap(a, b), a, b) for a, x in left.items() for b, y in right.items() if len(x) == len(y)),
        key=lambda item: -item[0],
    )
    used: set[tuple[int, frozenset[str]]] = set()
    for score, a, b in near:
        if score < _WORDS or (0, a) in used or (1, b) in used:
            continue
        rivals = [s for s, x, y in near if (x == a) != (y == b) and (0, x) not in used and (1, y) not in used]
        if max(rivals, default=0.0) < score:
            used |= {(0, a), (1, b)}
            yield a, b


def _in_order(left: list[Node], right: list[Node], named: bool) -> Iterator[tuple[Node, Node, str]]:
    """Pair nodes that only numbers or their order distinguish."""
    if len(left) == 1:
        yield left[0], right[0], NAME if named else STRUCTURE
        return
    ours, theirs = [numbers(n.path) for n in left], [numbers(n.path) for n in right]
    distinct = all(len(set(side)) == len(side) for side in (ours, theirs))
    countable = distinct and (
        set(ours) == set(theirs) or all(len({len(n) for n in side}) == 1 for side in (ours, theirs))
    )
    if countable:  # numbers that count are a better order than that of definition
        left, right = (sorted(side, key=lambda n: numbers(n.path)) for side in (left, right))
    evidence = NAME if countable else ORDER
    yield from ((a, b, evidence) for a, b in zip(left, right, strict=True))


def _settle(
    left: list[Node], right: list[Node], pairs: list[Pair], sound: bool, guessed: bool, direct: Container[int]
) -> tuple[list[Node], list[Node]]:
    """Match leaves; returns those that are left over. `direct` are those that no module had to be opened for."""
    spare_left: list[Node] = []
    spare_right: list[Node] = []
    for a, b in side_by_side(left, right, attrgetter("content")):
        for x, y in _by_family(a, b):
            if len(x) == len(y):
                found = [(m, n, evidence, sound) for m, n, evidence in _assign(x, y)]
            else:
                found = [(m, n, NAME, False) for m, n in _unequal(x, y, direct)] if x and y else []
            for m, n, evidence, agreed in found:
                assert m.unit is not None  # these are leaves
                assert n.unit is not None
                pairs.append(Pair(m.unit, n.unit, ORDER if guessed else evidence, agreed))
            used = {id(node) for m, n, _, _ in found for node in (m, n)}
            spare_left += [node for node in x if id(node) not in used]
            spare_right += [node for node in y if id(node) not in used]
    return sorted(spare_left, key=_POSITION), sorted(spare_right, key=_POSITION)


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
    named = side_by_side(left, right, lambda node: (words(node.path), numbers(node.path)))
    same = [(a[0], b[0]) for a, b in named if len(a) == len(b) == 1]
    yield from same
    used = {id(node) for pair in same for node in pair}
    outer = [[n for n in nodes if id(n) in direct and id(n) not in used] for nodes in (left, right)]
    if len(outer[0]) == len(outer[1]) == 1 and overlap(words(outer[0][0].path), words(outer[1][0].path)) > _WORDS:
        yield outer[0][0], outer[1][0]
