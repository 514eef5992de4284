"""Choosing between equals: which of several modules or layers of equal contents is which.

Words decide, then numbers that both sides share, then the order of definition; or the order of execution, where both
networks were run. What an order alone decided is a guess.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from ts_core.mapping._names import distinguishing, numbers, overlap, sizes, words
from ts_core.mapping._tree import BY_POSITION, Node

# Words decide between equals when they have this much in common.
WORDS = 0.3
# Words with this much in common say the same: abbreviations, synonyms.
_SAME = 0.6

NAME, STRUCTURE, ORDER, DEFINITION, EXECUTION = "name", "structure", "order", "definition", "execution"
# What leaves a choice a guess, and with it whatever is matched inside.
GUESSED = frozenset([ORDER, DEFINITION, EXECUTION])


def assign(left: list[Node], right: list[Node]) -> Iterator[tuple[Node, Node, str]]:
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
            sorted((n for nodes in rest_left.values() for n in nodes), key=BY_POSITION),
            sorted((n for nodes in rest_right.values() for n in nodes), key=BY_POSITION),
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
        if score < WORDS or (0, a) in used or (1, b) in used:
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
    key, evidence = _numbered(left, right)
    by_key, by_position = (
        list(zip(sorted(left, key=order), sorted(right, key=order), strict=True)) for order in (key, BY_POSITION)
    )
    if evidence == NAME and set(by_key) != set(by_position):
        if all(node.ran for node in (*left, *right)):
            evidence = EXECUTION  # numbers may mean anything; what runs first is first
        elif not all(_say_the_same(words(a.path), words(b.path)) for a, b in by_key):
            evidence = ORDER  # one side may count from the other end
    elif evidence in (ORDER, DEFINITION) and all(node.ran for node in (*left, *right)):
        evidence = EXECUTION
    yield from ((a, b, evidence) for a, b in (by_position if evidence == EXECUTION else by_key))


def _say_the_same(a: frozenset[str], b: frozenset[str]) -> bool:
    return a == b or overlap(a, b) >= _SAME


def _numbered(left: list[Node], right: list[Node]) -> tuple[Callable[[Node], Any], str]:
    """By what to order nodes which numbers may tell apart, and what that is worth.

    Numbers that both sides share are names. Others tell at most an order, which is worth something where it is that of
    definition as well.
    """
    both = [*left, *right]
    inner = {id(node): path for side in (left, right) for node, path in zip(side, _inner_paths(side), strict=True)}

    def counted(node: Node) -> tuple[int, ...]:
        return numbers(inner[id(node)])

    def told(node: Node) -> tuple[object, ...]:
        return counted(node), sizes(inner[id(node)])

    for key in (told, counted):
        ours, theirs = (Counter(map(key, side)) for side in (left, right))
        if ours == theirs and len(ours) == len(left):
            return key, NAME
    if len(ours) < len(left) or len(theirs) < len(right) or len({len(counted(node)) for node in both}) > 1:
        return BY_POSITION, DEFINITION
    # Numbers may count, or be sizes: a number of channels is larger than what stands before it.
    counting = all(max(counted(node)) <= 4 * node.position + 8 for node in both)
    if all(sorted(side, key=counted) == sorted(side, key=BY_POSITION) for side in (left, right)):
        return BY_POSITION, NAME if counting else DEFINITION
    return (counted, ORDER) if counting else (BY_POSITION, DEFINITION)


def _inner_paths(nodes: list[Node]) -> list[str]:
    """The paths of nodes inside the innermost module that holds all of them."""
    paths = [node.path.split(".") for node in nodes]
    shared = 0
    for components in zip(*paths, strict=False):
        if len(set(components)) > 1:
            break
        shared += 1
    return [".".join(path[shared:]) for path in paths]
