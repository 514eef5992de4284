"""A network as a tree of modules whose leaves are units, measured: what each module contains, whatever its names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from ts_core.mapping._units import Unit


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
    plain: Counter[object] = field(default_factory=Counter)  # by the main tensors alone
    elements: int = 0
    ran: bool = False


BY_POSITION = attrgetter("position")


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
            parent.children.append(Node(unit.path, unit.position, unit, ran=unit.ran))
        self._measure(root)
        return root

    def _measure(self, node: Node) -> None:
        stack = [(node, False)]
        while stack:
            node, done = stack.pop()
            if node.unit is not None:
                signature = self._signatures.setdefault(self._signature(node.unit), len(self._signatures))
                node.counts, node.elements = Counter((signature,)), node.unit.elements
                node.plain = Counter((node.unit.main,))
            elif not done:
                stack.append((node, True))
                stack.extend((child, False) for child in node.children)
                continue
            else:
                for child in node.children:
                    node.counts.update(child.counts)
                    node.plain.update(child.plain)
                node.leaves = sum(child.leaves for child in node.children)
                node.ran = all(child.ran for child in node.children)
                node.elements = sum(child.elements for child in node.children)
            key = tuple(sorted(node.counts.items()))
            node.content = self._contents.setdefault(key, len(self._contents))
