"""Which layers a file holds: read from sibling names and shapes alone, through the layer rules of the frameworks.

``running_mean`` beside ``weight`` is a batch norm; ``gamma`` and ``beta`` are a norm; ``weight`` of two dimensions with
a ``bias`` of one is a linear layer. What fits several kinds of layer stays open: every kind that fits is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ts_core.contract.layers import COUNTER, KINDS
from ts_core.contract.nouns import LayerRule, Place, Role, TensorInfo
from ts_core.errors import WeightMapError

if TYPE_CHECKING:
    from ts_core.contract.transforms import Transform

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to read a group of tensors: as this kind of layer, each tensor in this role."""

    kind: str
    roles: Mapping[str, Role]  # local name → role, or the roles that one tensor holds joined
    layout: Mapping[Role, Transform]

    @property
    def family(self) -> str:
        """The family of the kind."""
        return KINDS[self.kind].family if self.kind in KINDS else self.kind


@dataclass(frozen=True, slots=True)
class Reading:
    """A group of tensors of a file that belong to one layer.

    Attributes:
        layer: the path of the layer.
        names: local name → name in the file.
        kinds: every way to read the group; none for a parameter that belongs to no known layer.
        likely: those of them that go with the rest of the file, where it tells.
        doubtful: it is one vector, less than what any of the layers has, and may as well belong to an unknown one.
    """

    layer: str
    names: Mapping[str, str]
    kinds: tuple[Kind, ...]
    likely: tuple[Kind, ...] = ()
    doubtful: bool = False


def read_layers(index: Mapping[str, TensorInfo], rules: Iterable[LayerRule]) -> list[Reading]:
    """The layers of a file, in the order of the first tensor of each.

    Args:
        index: names, shapes and dtypes.
        rules: of the framework whose names the file uses, or of all.
    """
    rules = tuple(rules)
    taken: set[str] = set()
    found: dict[str, Reading] = {}  # by the name of the first tensor
    for reading in (*_told(index), *_nested(index, rules)):
        if not taken.intersection(reading.names.values()):
            taken.update(reading.names.values())
            found[next(iter(reading.names.values()))] = reading
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for name in index:
        if name not in taken:
            layer, _, local = name.rpartition(".")
            groups[layer][local] = name
    modules = {module for layer in groups for module in _above(layer)}
    for layer, names in groups.items():
        for reading in _read_group(layer, names, index, rules, layer in modules):
            found[next(iter(reading.names.values()))] = reading
    return _by_company([found[name] for name in index if name in found], index)


def _above(layer: str) -> Iterator[str]:
    """The modules that a layer is in, the network among them."""
    while layer:
        layer = layer.rpartition(".")[0]
        yield layer


def _read_group(
    layer: str,
    names: Mapping[str, str],
    index: Mapping[str, TensorInfo],
    rules: tuple[LayerRule, ...],
    has_layers: bool,
) -> Iterator[Reading]:
    """How to read the tensors of one place; `has_layers`: there are others inside, so that it is no plain layer.

    A bias beside what no rule knows, or inside a module of several layers, is no norm's: nothing speaks for that.
    """
    known = names
    kinds = tuple(_kinds(known, index, rules))
    if not kinds:
        known, kinds = _largest_layer(names, index, rules)
    doubtful = bool(kinds) and len(known) == 1 and _vector(known, index) and not _complete(known, rules)
    if not kinds or (doubtful and has_layers):
        yield from (Reading(layer, {local: name}, ()) for local, name in names.items())
        return
    yield Reading(layer, known, kinds, doubtful=doubtful)
    yield from (Reading(layer, {local: name}, ()) for local, name in names.items() if local not in known)


def _largest_layer(
    names: Mapping[str, str], index: Mapping[str, TensorInfo], rules: tuple[LayerRule, ...]
) -> tuple[Mapping[str, str], tuple[Kind, ...]]:
    """The largest part of a place that is a layer, beside which others stand: counters of a profiler, a mask."""
    parts = {frozenset(names.keys() & rule.roles.keys()) for rule in rules}
    for size in sorted({len(part) for part in parts if part}, reverse=True):
        found = []
        for part in (part for part in parts if len(part) == size):
            known = {local: name for local, name in names.items() if local in part}
            kinds = tuple(_kinds(known, index, rules))
            telling = size > 1 or (not _vector(known, index) and len({kind.family for kind in kinds}) == 1)
            if kinds and telling:
                found.append((known, kinds))
        if found:
            return found[0] if len(found) == 1 else (names, ())
    return names, ()


def _vector(names: Mapping[str, str], index: Mapping[str, TensorInfo]) -> bool:
    return all(len(index[name].shape) < 2 for name in names.values())


def _complete(names: Mapping[str, str], rules: Iterable[LayerRule]) -> bool:
    """Whether these are all that some kind of layer has."""
    return any(names.keys() == rule.roles.keys() for rule in rules)


def _told(index: Mapping[str, TensorInfo]) -> Iterator[Reading]:
    """The layers that the file itself tells of."""
    layers: dict[tuple[str, str], dict[str, Place]] = defaultdict(dict)
    for name, info in index.items():
        if info.place is not None:
            layers[info.place.layer, info.place.kind][name] = info.place
    for (layer, kind), places in layers.items():
        layout = {place.role: place.layout for place in places.values() if place.layout is not None}
        roles = {name: place.role for name, place in places.items()}
        yield Reading(layer, {name: name for name in places}, (Kind(kind, roles, layout),))


def _by_company(readings: list[Reading], index: Mapping[str, TensorInfo]) -> list[Reading]:
    """The same readings, with the number of dimensions that the rest of the file tells where a layer leaves it open.

    A norm looks the same in one dimension and in three, and a framework may store a 1-D convolution as a 2-D one of
    height 1. The convolutions that leave no doubt tell.
    """
    ranks = set()
    for reading in readings:
        found = {dimension(kind.kind) for kind in reading.kinds if kind.kind.startswith("conv")}
        if len(found) == 1:
            ranks |= found
    weights = {info.shape for info in index.values() if len(info.shape) == 4}
    if not ranks and any(shape[3] > 1 for shape in weights) and all(shape[2] == 1 for shape in weights):
        ranks = ranks | {1}  # every kernel is a line
    return [_narrowed(reading, ranks) for reading in readings]


def _narrowed(reading: Reading, ranks: Set[int | None]) -> Reading:
    open_ = {dimension(kind.kind) for kind in reading.kinds} - {None}
    if len(open_) < 2:
        return reading
    if not any(kind.kind.startswith("conv") for kind in reading.kinds) and 3 not in ranks:
        # Nothing but a convolution makes three dimensions; whether there is one or there are two tells no norm apart.
        return replace(reading, kinds=tuple(kind for kind in reading.kinds if dimension(kind.kind) != 3))
    likely = tuple(kind for kind in reading.kinds if dimension(kind.kind) in {None, *(open_ & ranks)})
    return replace(reading, likely=likely) if open_ & ranks else reading


def dimension(kind: str) -> int | None:
    """The number of dimensions of a kind, None when it has none."""
    return KINDS[kind].dimensions if kind in KINDS else None


def _nested(index: Mapping[str, TensorInfo], rules: tuple[LayerRule, ...]) -> Iterator[Reading]:
    """Layers whose rule leads through inner layers: a transformer layer, a batch norm inside another."""
    nested = [rule for rule in rules if any("." in local for local in rule.roles)]
    by_local: dict[str, list[str]] = defaultdict(list)
    wanted = {local for rule in nested for local in rule.roles if "." in local}
    longest = max((local.count(".") for local in wanted), default=0)
    for name in index:
        parts = name.split(".")
        for depth in range(1, min(longest + 1, len(parts) - 1) + 1):
            local = ".".join(parts[-depth - 1 :])
            if local in wanted:
                by_local[local].append(".".join(parts[: -depth - 1]))
    under: dict[str, list[str]] = defaultdict(list)
    prefixes = {prefix for found in by_local.values() for prefix in found}
    for name in index:
        parts = name.split(".")
        for depth in range(len(parts)):
            if (prefix := ".".join(parts[:depth])) in prefixes:
                under[prefix].append(name)
    for prefix in sorted(prefixes, key=lambda path: path.count(".")):
        names = {name[len(prefix) + 1 if prefix else 0 :]: name for name in under[prefix]}
        kinds = [
            kind
            for rule in nested
            if names.keys() <= rule.roles.keys() and _parts(names) == _required_parts(rule)
            if (kind := _kind(rule, names))
        ]
        if kinds:
            yield Reading(prefix, names, tuple(kinds))


def _parts(locals_: Iterable[str]) -> set[str]:
    return {local.partition(".")[0] for local in locals_ if "." in local}


def _required_parts(rule: LayerRule) -> set[str]:
    return _parts(rule.roles)


def _kinds(names: Mapping[str, str], index: Mapping[str, TensorInfo], rules: tuple[LayerRule, ...]) -> Iterator[Kind]:
    shapes = {local: index[name].shape for local, name in names.items()}
    seen = set()
    for rule in rules:
        if (rule.kind in KINDS and not KINDS[rule.kind].inferred) or not names.keys() <= rule.roles.keys():
            continue
        kind = _kind(rule, names)
        if kind is None:
            continue
        key = (kind.kind, tuple(kind.roles.items()), tuple(kind.layout.items()))
        if key not in seen and _fits(kind, shapes):
            seen.add(key)
            yield kind


def _kind(rule: LayerRule, names: Mapping[str, str]) -> Kind | None:
    """How a rule reads these names; None when it would have to know the layer to take apart what one tensor joins."""
    roles = {local: rule.roles[local] for local in names}
    # A layout that depends on how the layer was made cannot be known from a file.
    known = {r: t for r in roles.values() if (t := rule.layout.get(r)) is not None and not callable(t)}
    return (
        None if any(isinstance(r, tuple) and r not in known for r in roles.values()) else Kind(rule.kind, roles, known)
    )


def _fits(kind: Kind, shapes: Mapping[str, Shape]) -> bool:
    """Whether the shapes are those that this kind of layer has."""
    canonical: dict[str, Shape] = {}
    try:
        for local, role in kind.roles.items():
            stored = kind.layout[role].inverse().shapes(shapes[local]) if role in kind.layout else (shapes[local],)
            canonical.update(zip(role if isinstance(role, tuple) else (role,), stored, strict=True))
    except WeightMapError:
        return False
    known = KINDS.get(kind.kind)
    if known is None:
        return True
    if known.rank is not None:
        weight = canonical.get("weight")
        return weight is not None and len(weight) == known.rank and len(canonical.get("bias", (0,))) == 1
    if known.one_shape:
        # A batch norm keeps statistics; an instance norm hardly ever does.
        if ("mean" in canonical) != known.statistics:
            return False
        sizes = {shape for role, shape in canonical.items() if known.roles.get(role) != COUNTER}
        ranks = {len(shape) for shape in sizes}
        # Of several axes only where a bias of that shape stands beside the scale.
        return len(sizes) == 1 and (ranks == {1} or (known.many_axes and len(canonical) > 1))
    return True
