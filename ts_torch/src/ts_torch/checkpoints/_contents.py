"""The sections of what a torch file holds: models, the states of optimizers and schedulers, and other tensors.

A *model* is a module, or what stands under a key that training scripts keep a model under, or a dict or list that holds
tensors itself. Scalars beside models, and the states of random generators, are *other* tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.errors import ArgumentError, NoParametersError, UnsupportedDtypeError
from ts_core.contract.nouns import Section
from ts_core.contract.pickles import Global, NumpyArray, Stub, brief
from ts_core.contract.text import listed
from ts_torch.checkpoints._graph import Children, Node, entries_of, grow, is_module, is_scalar, kind_of, tensors_in
from ts_torch.checkpoints._tensors import Leaf, Tensor, UnreadableTensor, as_leaf

Path = tuple[str, ...]

# Under which keys training scripts keep the parameters of a model; and averaged copies of them.
_MODELS = {"state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "params", "weights"}
_COPIES = {"params_ema", "ema_state_dict", "model_ema", "ema"}
_KEYS = _MODELS | _COPIES
# What else a key tells of what is under it.
_TELLING = (
    (re.compile(r"(^|_)(?i:optim(izers?|s)?)([A-Z_\d]|$)"), "optimizer"),
    (re.compile(r"(^|_)(?i:(lr_?)?sched(ulers?)?)([A-Z_\d]|$)"), "scheduler"),
    (re.compile(r"(?i)(^|_)(rng|random|seed)(_?states?)?(_(cpu|cuda|torch|numpy|np|python))?$"), "other"),
    (re.compile(r"(?i)^(callbacks|loops|history|loss(es)?|metrics|stats|logs?|meta(data)?)$"), "other"),
    (re.compile(r"(?i)^(hyper_?parameters|hparams|args|config|cfg)$"), "other"),
)
_ORDER = ("model", "optimizer", "scheduler", "other")
_TENSOR = "tensor"  # the kind of what is not one, but stands for one
_ALONE = "array"  # the name of a tensor that is all that there is in a file


@dataclass(frozen=True, slots=True)
class Contents:
    """What was chosen from a file, and everything else in it.

    Attributes:
        tensors: the chosen tensors by name, in file order.
        metadata: what is no tensor beside them, or above them, by name.
        sections: everything that the file holds.
        everything: every tensor in the file by its full path.
        unreadable: the full path of what has no dense array → why.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, object]
    sections: tuple[Section, ...]
    everything: Mapping[str, Tensor]
    unreadable: Mapping[str, str]


@dataclass(slots=True)
class _Part:
    """A section before its tensors have names: where it is, and what of that place belongs to it."""

    path: Path
    kind: str
    children: Children
    beside: Children = ()


def select(root: object, key: str | None, file: ByteSource) -> Contents:
    """The parameters in an unpickled object: those of its one model, or of all its models under their full paths.

    Args:
        root: what the pickle holds.
        key: which part of it to take instead, inner levels joined by dots; ``""`` for all of it.
        file: named in errors.

    Raises:
        ArgumentError: there is nothing at `key`.
        NoParametersError: there are no parameters.
        UnsupportedDtypeError: some of the parameters have no dense array.
    """
    parts = _parts(grow(root, len(file)))
    sections, everything, aside = _named(parts)
    if key is None:
        models = [section for section in sections if section.kind == "model"]
        if not models:
            raise _no_parameters(root, sections, file)
        alone = models[0].name if len(models) == 1 else None
        chosen = {
            name if alone is not None else _full(section.name, name): everything[_full(section.name, name)]
            for section in models
            for name in section.tensors
        }
        metadata = _metadata(root, [part for part in parts if part.kind == "model"], file)
    else:
        path, place = _at(root, key, file)
        part = _at_key(path, place, file)
        if key:
            chosen = dict(_numbered(_tensors_of(part)))
        else:
            chosen = {name: leaf for name, leaf in everything.items() if name not in aside} or everything
        if not chosen:
            raise NoParametersError(f"{file.path}: key={key!r} leads to {_describe(place)}, which holds no parameters")
        metadata = _metadata(root, [part], file)
        sections = _chosen_first(sections, key, part, chosen) if key else sections
    _require_dense(chosen, file)
    return Contents(
        {name: leaf for name, leaf in chosen.items() if not isinstance(leaf, UnreadableTensor)},
        metadata,
        sections,
        {name: leaf for name, leaf in everything.items() if not isinstance(leaf, UnreadableTensor)},
        {name: leaf.reason for name, leaf in everything.items() if isinstance(leaf, UnreadableTensor)},
    )


# ---------------------------------------------------------------------------------------------------------------------
# What is a section


def _parts(top: Node | Leaf | None) -> list[_Part]:
    """The sections of a file: models, then optimizers, schedulers, others, each kind in file order."""
    if top is None:
        return []
    if not isinstance(top, Node):
        return [_Part((), "model", [(_ALONE, top)])]
    found: list[_Part] = []
    waiting: list[tuple[Path, Node, str]] = [((), top, "")]
    while waiting:
        path, node, told = waiting.pop()
        kind = told or node.kind
        if kind:
            found.append(_Part(path, "model" if kind == _TENSOR else kind, node.children, node.aside))
            continue
        children, kind, inner = _divided(node, path)
        found.append(_Part(path, kind, children, node.aside))
        waiting += reversed(inner)
    return sorted(found, key=lambda part: _ORDER.index(part.kind))


def _divided(node: Node, path: Path) -> tuple[Children, str, list[tuple[Path, Node, str]]]:
    """What of a dict, list or object is a section here, with its kind, and what is to be looked at further inside."""
    entries = [(name, child, _kind(name, child)) for name, child in node.children]
    tensors = [(name, child) for name, child, kind in entries if kind == _TENSOR]
    rest = [(name, child, kind) for name, child, kind in entries if kind in ("", "model")]
    both = [(name, child) for name, child, kind in entries if kind in (_TENSOR, "", "model")]
    loose = all(
        _told_by(name) == "other" or (not isinstance(child, Node) and is_scalar(child)) for name, child in tensors
    )
    models = any(name in _MODELS or kind == "model" for name, _, kind in rest)
    each_is_model = all(name in _KEYS or kind == "model" for name, _, kind in rest)
    training = any(isinstance(child, Node) and child.states for _, child in node.children)
    here: Children = tensors
    kind = "model"
    if path and path[-1] in _KEYS and not (rest and loose and each_is_model):
        here = both  # what stands under such a key is one model
    elif not rest:
        kind = "other" if loose and len(entries) > len(tensors) else "model"
    elif models or loose:
        kind = "other"
    elif not (training or any(name in _COPIES for name, _, _ in rest)):
        here = both  # a state dict with dicts and lists in it
    inner: list[tuple[Path, Node, str]] = []
    if here is not both:
        # Numbers, NumPy's arrays and objects of any class are models only where there is nothing that is more of one.
        proper = {name for name, child, own in rest if own or name in _KEYS or not _is_slight(child)}
        some = proper or (here and kind == "model")
        for name, child, _ in rest:
            assert isinstance(child, Node)
            inner.append(((*path, name), child, "other" if some and name not in proper else ""))
    for name, child, own in entries:
        if isinstance(child, Node) and own not in (_TENSOR, "", "model"):
            inner.append(((*path, name), child, own))
    return here, kind, inner


def _is_slight(child: Node | Leaf) -> bool:
    if not isinstance(child, Node) or child.states:
        return False
    return child.slight or (isinstance(child.value, Stub) and not child.value.entries)


def _kind(name: str, child: Node | Leaf) -> str:
    """The kind of an entry, as far as it shows from outside."""
    if not isinstance(child, Node) or child.kind == _TENSOR:
        return _TENSOR
    return child.kind or ("" if child.states else _told_by(name))


def _told_by(name: str) -> str:
    """The kind of section that a key tells; nothing, mostly."""
    return next((kind for pattern, kind in _TELLING if pattern.search(name)), "")


# ---------------------------------------------------------------------------------------------------------------------
# Names


def _named(parts: Iterable[_Part]) -> tuple[tuple[Section, ...], dict[str, Leaf], set[str]]:
    """The sections, every tensor by its full path, and which of these stand aside.

    What would be called the same gets a number.
    """
    standing_aside: set[str] = set()
    everything: dict[str, Leaf] = {}
    sections: list[Section] = []
    others: list[Section] = []
    for part in parts:
        own: list[str] = []
        aside: list[str] = []
        section = ".".join(part.path)
        start = len(_full(section, ""))
        for name, leaf, beside in tensors_in(part.children, part.beside):
            path = _free(everything, _full(section, name))
            everything[path] = leaf
            if beside:
                standing_aside.add(path)
            (aside if beside and part.kind == "model" else own).append(path[start:])
        if own or part.kind in ("optimizer", "scheduler"):
            sections.append(Section(section, part.kind, tuple(own)))
        if aside:
            others.append(Section(section, "other", tuple(aside)))
    return (*sections, *others), everything, standing_aside


def _free(taken: Mapping[str, object], name: str) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"


def _full(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def _numbered(named: Iterable[tuple[str, Leaf]]) -> Iterator[tuple[str, Leaf]]:
    taken: dict[str, object] = {}
    for name, leaf in named:
        free = _free(taken, name)
        taken[free] = leaf
        yield free, leaf


def _at(root: object, key: str, file: ByteSource) -> tuple[Path, object]:
    """What a key leads to, and the names on the way."""
    value, rest, path = root, key, []
    while rest:
        value = _opened(value)
        inside: dict[str, object] = {}
        for name, inner in entries_of(value):
            inside.setdefault(name, inner)
        # The longest name that fits: names may have dots themselves.
        parts = rest.split(".")
        heads = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        head = next((head for head in heads if head in inside), None)
        if head is None:
            raise ArgumentError(f"{file.path}: there is no key={key!r}; {rest!r} is not in {_describe(value)}")
        value, rest = inside[head], rest[len(head) + 1 :]
        path.append(head)
    return tuple(path), value


def _opened(value: object) -> object:
    """What is inside of something: of a tensor that has no dense array, its parts."""
    leaf = as_leaf(value)
    return value if leaf is None else leaf.extra


def _at_key(path: Path, place: object, file: ByteSource) -> _Part:
    """The section that a key chose."""
    top = grow(place, len(file))
    if isinstance(top, UnreadableTensor) and top.extra is not None:
        top = grow(top.extra, len(file)) or top
    if isinstance(top, Node):
        return _Part(path, "model" if top.kind in ("", _TENSOR) else top.kind, top.children, top.aside)
    return _Part(path, "model", [] if top is None else [(path[-1] if path else _ALONE, top)])


def _tensors_of(part: _Part) -> Iterator[tuple[str, Leaf]]:
    found = list(tensors_in(part.children, part.beside))
    proper = [(name, leaf) for name, leaf, aside in found if not aside]
    return iter(proper or [(name, leaf) for name, leaf, _ in found])


def _chosen_first(
    sections: tuple[Section, ...], key: str, part: _Part, chosen: Mapping[str, Leaf]
) -> tuple[Section, ...]:
    same = next((section for section in sections if section.name == key and section.kind == part.kind), None)
    return (same or Section(key, part.kind, tuple(chosen)), *(section for section in sections if section is not same))


# ---------------------------------------------------------------------------------------------------------------------
# What is no tensor


def _metadata(root: object, chosen: list[_Part], file: ByteSource) -> dict[str, object]:
    """What stands beside the chosen tensors, and above them, under its names."""
    if is_module(root):
        return {}
    tops = {part.path[0] for part in chosen if part.path}
    tops.update(name for part in chosen if not part.path for name, _ in part.children)
    found: dict[str, object] = {}
    if len(chosen) == 1 and chosen[0].path:
        place = _at(root, ".".join(chosen[0].path), file)[1]
        own = {name for name, _ in chosen[0].children}
        if not is_module(place) and as_leaf(place) is None:
            found.update((name, _plain(value)) for name, value in _no_tensors(place) if name not in own)
    if as_leaf(root) is None:
        found.update((name, _plain(value)) for name, value in _no_tensors(root) if name not in tops)
    return found


def _no_tensors(value: object) -> Iterator[tuple[str, object]]:
    return ((name, inner) for name, inner in entries_of(value) if as_leaf(inner) is None)


def _plain(value: object) -> object:
    """NumPy scalars, as training scripts keep their best accuracy, are numbers like any other."""
    if isinstance(value, NumpyArray) and value.array is not None:
        return value.array
    return value.item() if isinstance(value, np.generic) else value


# ---------------------------------------------------------------------------------------------------------------------
# Errors


def _require_dense(chosen: Mapping[str, Leaf], file: ByteSource) -> None:
    unreadable = [(name, leaf.reason) for name, leaf in chosen.items() if isinstance(leaf, UnreadableTensor)]
    if unreadable:
        advice = "convert them in torch (.to_dense(), .dequantize()) and save again"
        head = f"{file.path}: these tensors have no dense array; {advice}, or read the parts that one is made of"
        reasons = (f"{name}: {reason}" for name, reason in unreadable[:1000])
        raise UnsupportedDtypeError(listed(f"{head} with key= and its name:", reasons))


def _no_parameters(root: object, sections: tuple[Section, ...], file: ByteSource) -> NoParametersError:
    words = f"{file.path}: there are no parameters in it; it holds {_describe(root)}. "
    found = [section for section in sections if section.tensors]
    if found:
        words += "Tensors are in " + ", ".join(f"{s.name or 'it'} ({s.kind})" for s in found[:5])
        return NoParametersError(f'{words}: key={found[0].name!r} reads them (key="" everything)')
    return NoParametersError(f"{words}Save a state dict or a module, or name the entry that holds one with key=")


def _describe(value: object) -> str:
    """A few words for what a file holds instead of parameters."""
    leaf = as_leaf(value)
    if leaf is not None:
        return f"a single tensor of shape {getattr(leaf, 'shape', 'unknown')}"
    entries = value if isinstance(value, dict) else value.entries if isinstance(value, Stub) else {}
    if entries:
        names = ", ".join(brief(name)[:40] for name, _ in zip(entries, range(8), strict=False))
        what = "the state of an optimizer, a dict" if kind_of(value) == "optimizer" else "a dict"
        return f"{what} with the keys {names}{', …' if len(entries) > 8 else ''}"
    if isinstance(value, dict):
        return "an empty dict"
    if isinstance(value, Stub):
        return f"an object of {value.cls if isinstance(value.cls, Global) else 'unknown class'}"
    return f"a {type(value).__name__}"
