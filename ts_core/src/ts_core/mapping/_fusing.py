"""Fused and split projections: one side holds q, k and v in one tensor, the other holds them apart.

The parts are joined into one unit that stands for them; the map then says ``concatenate`` or ``split``. Before anything
is matched it is done only where the sizes and the names of the parts leave one possibility: the parts stand beside each
other, their names tell their order, and the other side has layers of the size of the whole that would otherwise find no
partner. Of what was left over, any layers are joined that stand in the place of one and have its size together.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter

from ts_core.mapping._alignment import Pair, side_by_side
from ts_core.mapping._choosing import ORDER
from ts_core.mapping._names import tokens
from ts_core.mapping._places import Places
from ts_core.mapping._units import Slot, Unit, compatible

# The parts of a fused projection, in the order in which everybody stores them, with the words that name them.
_FUSED: tuple[tuple[frozenset[str], ...], ...] = (
    (frozenset({"q", "query", "wq", "qs"}), frozenset({"k", "key", "wk", "ks"}), frozenset({"v", "value", "wv", "vs"})),
    (frozenset({"k", "key", "wk", "ks"}), frozenset({"v", "value", "wv", "vs"})),
    (frozenset({"q", "query", "wq", "qs"}), frozenset({"k", "key", "wk", "ks"})),
    (frozenset({"gate"}), frozenset({"up"})),
)

# The bias of a part of a fused projection, where it stands beside it.
_LOOSE_BIAS = re.compile("([qkv])_bias")
# Families of layers whose outputs do not depend on each other, and the axis of the weight that they stand along.
_JOINABLE = frozenset(["linear", "conv", "conv_transpose", "embedding", "batch_norm"])
_OUTPUTS = {"conv_transpose": 1, "embedding": 1}
_ABBREVIATIONS = {word: min(names, key=len) for family in _FUSED for names in family for word in names}


def fuse(units: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """The units of one side, with parts joined where the other side (`others`) holds them fused."""
    units, others = _with_loose_biases(units), _with_loose_biases(others)
    ours, theirs = Counter(u.signature for u in units), Counter(u.signature for u in others)
    siblings: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        if not unit.lone and unit.family in ("linear", None):
            siblings[unit.path.rpartition(".")[0]].append(unit)
    names: dict[object, set[str]] = defaultdict(set)
    for other in others:
        words = _words(other)
        names[other.signature].update(words, {"".join(word[0] for word in words)})
    places = {(parent, name) for parent, _, name in (other.path.rpartition(".") for other in others)}
    joined: dict[int, Unit | None] = {}
    for parent, members in siblings.items():
        fitting = []
        for parts in _families(members):
            whole = _join(parent, parts)
            if whole is None or theirs[whole.signature] <= ours[whole.signature]:
                continue
            if all(theirs[part.signature] < ours[part.signature] for part in parts):
                fitting.append((whole, parts))
        if len(fitting) > 1:  # q with k, or k with v: the name of the whole has to tell
            fitting = [(whole, parts) for whole, parts in fitting if _initials(parts) in names[whole.signature]]
        if len(fitting) > 1:  # both occur in the network: which of them stands in this place?
            fitting = [(whole, parts) for whole, parts in fitting if (parent, _initials(parts)) in places]
        if len(fitting) == 1:
            ((whole, parts),) = fitting
            joined.update({id(part): None for part in parts})
            joined[id(parts[0])] = whole
    return [fused for unit in units if (fused := joined.get(id(unit), unit)) is not None]


def _with_loose_biases(units: Sequence[Unit]) -> list[Unit]:
    """The units, those of ``qkv`` with the biases of its parts that stand beside it: ``q_bias``, ``v_bias``."""
    lone: dict[str, dict[int, Unit]] = defaultdict(dict)
    for unit in units:
        found = _LOOSE_BIAS.fullmatch(unit.path.rpartition(".")[2])
        if unit.lone and unit.flat and found:
            lone[unit.path.rpartition(".")[0]]["qkv".index(found.group(1))] = unit
    taken: dict[int, Unit | None] = {}
    for unit in units if lone else ():
        parent, _, name = unit.path.rpartition(".")
        biases = lone.get(parent)
        if not biases or name != "qkv" or set(unit.slots) != {"weight"} or unit.family not in ("linear", None):
            continue
        size = outputs(unit) / 3
        slots = {part: next(iter(biases[part].slots.values())) for part in sorted(biases)}
        if any(slot.canonical != (size,) for slot in slots.values()):
            continue
        gaps = tuple((part, (int(size),)) for part in range(3) if part not in slots)
        shape, first = (outputs(unit),), next(iter(slots.values()))
        names = ", ".join(slot.name for slot in slots.values())
        bias = replace(
            first, name=names, shape=shape, canonical=shape, role="bias", parts=tuple(slots.values()), gaps=gaps
        )
        taken[id(unit)] = replace(unit, slots={**unit.slots, "bias": bias})
        taken.update({id(one): None for one in biases.values()})
    return [kept for unit in units if (kept := taken.get(id(unit), unit)) is not None]


def _families(members: list[Unit]) -> Iterator[list[Unit]]:
    """The sets of siblings whose names are those of the parts of a fused projection, in its order."""
    for names in _FUSED:
        parts = [[unit for unit in members if name & set(_words(unit))] for name in names]
        if all(len(found) == 1 for found in parts) and len({id(found[0]) for found in parts}) == len(names):
            yield [found[0] for found in parts]


def _initials(parts: Sequence[Unit]) -> str:
    """What a tensor that holds these parts is called for short: ``"kv"``."""
    return "".join(_ABBREVIATIONS.get(word, "") for part in parts for word in _words(part))


def _words(unit: Unit) -> tuple[str, ...]:
    return tokens(unit.path.rpartition(".")[2])[0]


def _join(parent: str, parts: Sequence[Unit]) -> Unit | None:
    """One unit for several layers that have the same inputs; None when their tensors cannot be joined.

    A part may lack a bias that others have: zeros stand for it.
    """
    if any(not set(part.slots) <= {"weight", "bias"} or "weight" not in part.slots for part in parts):
        return None
    path = ".".join(filter(None, (parent, "".join((_words(part) or ("x",))[0][0] for part in parts))))
    return joined(path, parts)


def joined(path: str, parts: Sequence[Unit]) -> Unit | None:
    """One unit that stands for several, joined along their outputs; None when their tensors cannot be joined."""
    whole = Unit(path, parts[0].families, parts[0].position)
    for role in dict.fromkeys(role for part in parts for role in part.slots if role != "batch_count"):
        axis = _OUTPUTS.get(str(parts[0].family), 0) if role == "weight" else 0
        slots = [part.slots[role] for part in parts if role in part.slots]
        first = slots[0]
        if len(slots) < len(parts) and role != "bias":
            return None
        if any(_inputs(s, axis) != _inputs(first, axis) or s.layout != first.layout or s.joint for s in slots):
            return None
        gaps = [(i, (outputs(part),)) for i, part in enumerate(parts) if role not in part.slots]
        size = sum(s.canonical[axis] for s in slots) + sum(shape[0] for _, shape in gaps)
        shape = (*first.canonical[:axis], size, *first.canonical[axis + 1 :])
        whole.slots[role] = replace(
            first,
            name=", ".join(s.name for s in slots),
            shape=shape,
            canonical=shape,
            layout=None,
            parts=tuple(slots),
            gaps=tuple(gaps),
            axis=axis,
        )
    return whole


def outputs(unit: Unit) -> int:
    """How many outputs a layer has."""
    slot = unit.slots.get("weight") or unit.slots["scale"]
    return slot.canonical[_OUTPUTS.get(str(unit.family), 0)]


def _inputs(slot: Slot, axis: int) -> tuple[int, ...]:
    return (*slot.canonical[:axis], *slot.canonical[axis + 1 :])


def fuse_by_place(
    places: Places, left: Sequence[Unit], right: Sequence[Unit]
) -> tuple[list[Pair], list[Unit], list[Unit]]:
    """Pair what was left over: a layer of one side with several that stand in its place on the other, joined.

    Their sizes add up to its own and all of them are taken, in the order of definition or execution, which is a guess.

    Returns:
        The pairs, and what is left over now.
    """
    pairs: list[Pair] = []
    used: set[int] = set()
    for both in side_by_side(left, right, _inputs_of):
        for side in (0, 1):
            sizes = [(outputs(unit), unit) for unit in both[1 - side] if _joinable(unit)]
            for whole in both[side] if len(sizes) > 1 else ():
                if id(whole) in used or not _joinable(whole):
                    continue
                own = outputs(whole)
                parts = [
                    part
                    for size, part in sizes
                    if size < own and id(part) not in used and compatible(part, whole)
                    if places.agree(*_turned(side, whole, part))
                ]
                if len(parts) < 2 or sum(map(outputs, parts)) != own or not places.together(1 - side, parts):
                    continue
                made = joined(whole.path, sorted(parts, key=attrgetter("position")))
                if made is not None and made.main == whole.main:
                    pairs.append(Pair(*_turned(side, whole, made), ORDER, False))
                    used |= {id(whole), *map(id, parts)}
    spare_left, spare_right = ([unit for unit in units if id(unit) not in used] for units in (left, right))
    return pairs, spare_left, spare_right


def _turned(side: int, unit: Unit, other: Unit) -> tuple[Unit, Unit]:
    return (other, unit) if side else (unit, other)


def _joinable(unit: Unit) -> bool:
    return not unit.lone and _JOINABLE.issuperset(unit.families) and bool(unit.slots.keys() & {"weight", "scale"})


def _inputs_of(unit: Unit) -> object:
    """What layers have in common that may be parts of one another."""
    if not _joinable(unit):
        return id(unit)
    main = "weight" if "weight" in unit.slots else "scale"
    axis = _OUTPUTS.get(str(unit.family), 0) if main == "weight" else 0
    return main, _inputs(unit.slots[main], axis), frozenset(unit.slots.keys() - {"bias", "batch_count"})
