"""Fused and split projections: one side holds q, k and v in one tensor, the other holds them apart.

The parts are joined, before anything is matched, into one unit that stands for them; the map then says
``concatenate`` or ``split``. It is done only where the sizes and the names of the parts leave one possibility: the
parts stand beside each other, their names tell their order, and the other side has layers of the size of the whole
that would otherwise find no partner.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from ts_core.mapping._names import tokens
from ts_core.mapping._units import Slot, Unit

# The parts of a fused projection, in the order in which everybody stores them, with the words that name them.
_FUSED: tuple[tuple[frozenset[str], ...], ...] = (
    (frozenset({"q", "query", "wq", "qs"}), frozenset({"k", "key", "wk", "ks"}), frozenset({"v", "value", "wv", "vs"})),
    (frozenset({"k", "key", "wk", "ks"}), frozenset({"v", "value", "wv", "vs"})),
    (frozenset({"q", "query", "wq", "qs"}), frozenset({"k", "key", "wk", "ks"})),
    (frozenset({"gate"}), frozenset({"up"})),
)

_ABBREVIATIONS = {word: min(names, key=len) for family in _FUSED for names in family for word in names}


def fuse(units: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """The units of one side, with parts joined where the other side (`others`) holds them fused."""
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


def _join(parent: str, parts: list[Unit]) -> Unit | None:
    """One unit for several linear layers that have the same inputs; None when their tensors cannot be joined."""
    roles = set(parts[0].slots)
    if any(set(part.slots) != roles for part in parts) or not roles <= {"weight", "bias"}:
        return None
    path = ".".join(filter(None, (parent, "".join(_words(part)[0][0] for part in parts))))
    whole = Unit(path, parts[0].families, parts[0].position)
    for role in parts[0].slots:
        slots = [part.slots[role] for part in parts]
        first = slots[0]
        if any(s.canonical[1:] != first.canonical[1:] or s.layout != first.layout or s.joint for s in slots):
            return None
        shape = (sum(s.canonical[0] for s in slots), *first.canonical[1:])
        names = ", ".join(s.name for s in slots)
        whole.slots[role] = Slot(names, shape, shape, None, role, first.trainable, first.integral, parts=tuple(slots))
    return whole
