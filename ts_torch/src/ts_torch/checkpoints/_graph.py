"""What holds tensors in an unpickled object, each under the names that lead to it; the work is bounded by the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ts_core.contract.pickles import Global, MalformedError, NumpyArray, Stub
from ts_torch.checkpoints._tensors import HeldArray, Leaf, QuantisedTensor, as_leaf

# What tells a state that is no model's, and whose: a key, and any of some others. Alone, each stands elsewhere as well.
_STATES = {
    "optimizer": ("param_groups", ("state",)),
    "scheduler": ("last_epoch", ("base_lrs", "_last_lr", "_step_count")),
}
_STATE_CLASSES = {"torch.optim.lr_scheduler": "scheduler", "torch.optim": "optimizer"}
_AT_LEAST, _EACH = 1 << 20, 4  # characters of names: in any file, and for each of its bytes
_MOST_BYTES = 1 << 26  # of a file that count


@dataclass(eq=False, slots=True)
class Node:
    """Something that holds tensors, or is the state of an optimizer or scheduler.

    Attributes:
        value: what it is in the pickle.
        kind: ``"model"`` for a module, ``"optimizer"``, ``"scheduler"``, ``"tensor"`` for a quantised tensor, which
            is its parts; empty for any other.
        children: what it holds, by name, in file order.
        aside: what it holds besides: a module's tensors that are not in its state dict, attributes of a tensor.
        names: how many names there are in it, and of itself.
        text: how many characters they have, each with all that leads to it from here.
        slight: whether it holds tensors, and all of them are scalars, or arrays of NumPy.
        states: whether the state of an optimizer or scheduler is somewhere inside.
    """

    value: object
    kind: str = ""
    children: list[tuple[str, Node | Leaf]] = field(default_factory=list)
    aside: list[tuple[str, Node | Leaf]] = field(default_factory=list)
    names: int = 1
    text: int = 0
    slight: bool = True
    states: bool = False

    def add(self, name: str, child: Node | Leaf, aside: bool) -> None:
        """Put something into it, which is complete."""
        (self.aside if aside else self.children).append((name, child))
        self.names += child.names if isinstance(child, Node) else 1
        self.text += child.text + (len(name) + 1) * child.names if isinstance(child, Node) else len(name)
        if isinstance(child, Node):
            self.states |= child.states or child.kind in _STATES
        if not aside:
            self.slight &= child.slight if isinstance(child, Node) else isinstance(child, HeldArray) or is_scalar(child)


Children = Sequence[tuple[str, Node | Leaf]]


def is_scalar(leaf: Leaf) -> bool:
    """Whether a tensor is one number, or none at all."""
    shape = getattr(leaf, "shape", (1,))
    return shape == () or 0 in shape


def grow(root: object, size: int) -> Node | Leaf | None:
    """Everything in an object that holds tensors. What several things hold is looked into once.

    Args:
        root: what the pickle holds, or a part of it.
        size: of the file, in bytes.

    Raises:
        MalformedError: a file of this size cannot have that many names: they come of things inside each other.
    """
    seen: dict[int, Node | None] = {}  # None: nothing is in it, or it is being looked into and leads back to itself
    top = Node(None)
    stack: list[tuple[Node, str, bool, Iterator[tuple[str, object, bool]]]] = [
        (top, "", False, iter([("", root, False)]))
    ]
    while True:
        node, own_name, own_aside, parts = stack[-1]
        for name, value, aside in parts:
            leaf = as_leaf(value)
            if leaf is not None:
                node.add(name, leaf, aside)
                value, aside = getattr(value, "extra", None), True
            if not _may_hold(value):
                continue
            if id(value) in seen:
                known = seen[id(value)]
                if known is not None and not aside:  # what stands aside has a name already, and needs no second one
                    node.add(name, known, aside)
                continue
            seen[id(value)] = None
            stack.append((Node(value, kind_of(value)), name, aside, _parts(value)))
            break
        else:
            stack.pop()
            if not stack:
                break
            if node.children or node.aside or node.kind in _STATES:
                node.slight &= bool(node.children) and node.kind not in ("model", "tensor")
                seen[id(node.value)] = node
                stack[-1][0].add(own_name, node, own_aside)
    found = next((child for _, child in [*top.children, *top.aside]), None)
    if isinstance(found, Node) and found.text > _AT_LEAST + _EACH * min(size, _MOST_BYTES):
        raise MalformedError("its tensors have more names than a file of its size can: things inside each other")
    return found


def kind_of(value: object) -> str:
    """Whether an object is a module, the state of an optimizer or scheduler, or as good as a tensor: see Node."""
    if isinstance(value, QuantisedTensor):
        return "tensor"
    if isinstance(value, Stub):
        if is_module(value):
            return "model"
        if isinstance(value.cls, Global):
            known = (kind for prefix, kind in _STATE_CLASSES.items() if value.cls.module.startswith(prefix))
            kind = next(known, "")
            if kind:
                return kind
        entries: Mapping[object, object] = value.entries or value.attributes
    elif isinstance(value, dict):
        entries = value
    else:
        return ""
    for kind, (one, others) in _STATES.items():
        if one in entries and any(name in entries for name in others):
            return kind
    return ""


def is_module(value: object) -> bool:
    """Whether an object is a module, of whatever class."""
    return isinstance(value, Stub) and isinstance(value.attributes.get("_modules"), dict)


def entries_of(value: object) -> Iterator[tuple[str, object]]:
    """What is directly inside something, by the name that it has there."""
    return ((name, inner) for name, inner, _ in _parts(value))


def _may_hold(value: object) -> bool:
    if isinstance(value, Stub):
        return bool(value.args or value.attributes or value.entries or value.items or value.state is not None)
    if isinstance(value, dict | list | tuple | set | frozenset):
        return bool(value)
    return isinstance(value, QuantisedTensor | NumpyArray)


def _parts(value: object) -> Iterator[tuple[str, object, bool]]:
    """What is directly inside something: the name that it has there, and whether it stands aside."""
    if isinstance(value, dict):
        yield from _of_dict(value)
    elif isinstance(value, list | tuple | set | frozenset):
        for number, inner in enumerate(value):
            yield str(number), inner, False
    elif isinstance(value, QuantisedTensor):
        for name, inner in value.parts.items():
            yield name, inner, False
        if value.extra is not None:
            yield from ((name, inner, True) for name, inner, _ in _parts(value.extra))
    elif isinstance(value, NumpyArray):
        yield from _parts(value.objects)
    elif isinstance(value, Stub):
        yield from _of_module(value) if is_module(value) else _of_object(value)


def _of_dict(value: Mapping[object, object]) -> Iterator[tuple[str, object, bool]]:
    for number, (key, inner) in enumerate(value.items()):
        yield key if isinstance(key, str) else _key_text(key, number), inner, False
        if not isinstance(key, str | int) and (as_leaf(key) is not None or _may_hold(key)):
            yield f"{number}.key", key, True


def _key_text(key: object, number: int) -> str:
    """How a name spells a key that is no text: a number as its digits, anything else by its place."""
    if isinstance(key, int | float | None):
        return str(key) if not isinstance(key, int) or key.bit_length() <= 64 else f"#{number}"
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    if isinstance(key, tuple) and len(key) <= 8 and all(isinstance(part, str | int | float) for part in key):
        return ",".join(_key_text(part, number) if not isinstance(part, str) else part for part in key)
    return str(number)


def _of_object(value: Stub) -> Iterator[tuple[str, object, bool]]:
    for number, inner in enumerate(value.args):
        yield str(number), inner, False
    for number, inner in enumerate(value.items):
        yield str(number), inner, False
    yield from _of_dict(value.entries)
    yield from _of_dict(value.attributes)
    if value.state is not None:
        yield "state", value.state, False
    if not isinstance(value.cls, Global):
        yield "class", value.cls, True


def _of_module(module: Stub) -> Iterator[tuple[str, object, bool]]:
    """What ``state_dict()`` would list: parameters, persistent buffers, inner modules. The rest stands aside."""
    attributes = module.attributes
    transient = attributes.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers", "_modules"):
        own = attributes.get(kind)
        for name, inner, aside in _of_dict(own) if isinstance(own, dict) else ():
            if kind == "_buffers" and isinstance(transient, set | frozenset | list | tuple) and name in transient:
                aside = True
            yield name, inner, aside
    for name, inner, _ in _of_dict(attributes):
        if name not in ("_parameters", "_buffers", "_modules"):
            yield name, inner, True
    for name, inner, _ in _of_object(Stub(module.cls, module.args)):
        yield name, inner, True


def tensors_in(children: Children, beside: Children = ()) -> Iterator[tuple[str, Leaf, bool]]:
    """The tensors in what something holds: the names that lead to each, and whether one of these stands aside.

    Args:
        children: what it holds.
        beside: what stands aside in it.
    """
    first = [*((name, child, False) for name, child in children), *((name, child, True) for name, child in beside)]
    stack = [("", iter(first))]
    while stack:
        prefix, parts = stack[-1]
        for name, child, aside in parts:
            if isinstance(child, Node):
                inner = [(n, c, aside) for n, c in child.children] + [(n, c, True) for n, c in child.aside]
                stack.append((f"{prefix}{name}.", iter(inner)))
                break
            yield prefix + name, child, aside
        else:
            stack.pop()
