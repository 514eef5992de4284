"""Matching a source to a target that really exists: from the alignment of their layers to a weight map.

The layers are aligned by what they are made of, where they stand and what they are called (see
:mod:`ts_core.mapping._alignment`); each pair of layers then gives the entries of its parameters. What is left over on
either side is explained, and what could go several ways is listed as ambiguous.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np

from ts_core.contract.arrays import Array
from ts_core.contract.readers import LazyTensors
from ts_core.contract.tracing import Inputs
from ts_core.errors import WeightMapError
from ts_core.mapping._alignment import Pair, align, side_by_side
from ts_core.mapping._choosing import EXECUTION, GUESSED
from ts_core.mapping._execution import NOISE, doubted, in_order, verdict
from ts_core.mapping._explaining import Explainer, needless
from ts_core.mapping._folding import folds
from ts_core.mapping._fusing import fuse, fuse_by_place
from ts_core.mapping._joining import Paired, joined, names, transform
from ts_core.mapping._names import nearness, numbers, spelling, words, wrapper_note, wrapper_prefix
from ts_core.mapping._nouns import CERTAIN, ERROR, GUESS, HARMLESS, LEFT_OUT, LIKELY, Ambiguity, MapEntry, Unmatched
from ts_core.mapping._places import Places, behind_partners, by_place, without
from ts_core.mapping._rules import layer_rules
from ts_core.mapping._same_names import by_equal_names
from ts_core.mapping._units import NORMS, Slot, Unit, compatible, units_of
from ts_core.mapping._unstacking import unstack
from ts_core.mapping._weight_map import WeightMap
from ts_core.running import as_inputs, run
from ts_core.sources import NetworkTensors, Shapes

# Networks that share less than this part of the layers of the smaller one have nothing to do with each other.
_RELATED = 0.25
# Words as near as this say the same.
_NEAR = 0.6
# How many times nearer outputs are when they speak for another map.
_CLEARLY = 10
# What two units must have in common: everything, or the largest tensor.
_SIGNATURE, _MAIN = attrgetter("signature"), attrgetter("main")


def match_sources(source: LazyTensors, target: LazyTensors, sample_inputs: object = None) -> WeightMap:
    """The weight map from an opened source to an opened target, whose data is not read; see :func:`ts_core.weight_map`.

    Raises:
        WeightMapError: the two have next to nothing in common.
        ArgumentError: sample inputs are given, and one of the two is no network.
    """
    equal = by_equal_names(source, target) if sample_inputs is None else None
    if equal is not None:
        found = unmatched_by(WeightMap(equal, order=source), source, target)
        found = found.replaced(unmatched_source=_without_copies(found, source))
        if found.complete:
            return found
    if sample_inputs is not None:
        found = _matched_by_running(source, target, as_inputs(sample_inputs))
    else:
        found = _matched(source, target)
    return found.replaced(unmatched_source=_without_copies(found, source))


def _matched(source: LazyTensors, target: LazyTensors, *orders: Sequence[str]) -> WeightMap:
    """The map by units; `orders` are the paths of the layers of both sides in the order in which they run."""
    left = units_of(source, layer_rules(source), target)
    right = units_of(target, layer_rules(target), source)
    if orders:
        left, right = (in_order(units, paths) for units, paths in zip((left, right), orders, strict=True))
    notes = [*_unwrap(left, source), *_unwrap(right, target)]
    return match(left, right).replaced(notes=notes)


def _matched_by_running(source: LazyTensors, target: LazyTensors, inputs: Inputs) -> WeightMap:
    """The map by the order in which layers run, or by that of definition where its outputs are clearly nearer."""
    (ours, expected), (theirs, _) = run(source, inputs), run(target, inputs)
    assert isinstance(source, NetworkTensors)  # else they would not have run
    assert isinstance(target, NetworkTensors)
    found = _matched(source, target, ours, theirs)
    said = verdict(found, source, target, expected, inputs)
    if said.difference > NOISE:
        other = _matched(source, target)
        if other.names != found.names:
            told = verdict(other, source, target, expected, inputs)
            found, said = (other, told) if told.difference < said.difference / _CLEARLY else (found, said)
    return doubted(found.replaced(notes=[*found.notes, said.note]), said, source)


def _unwrap(units: Iterable[Unit], names: Iterable[str]) -> Iterator[str]:
    """Take the prefix of a wrapper off the paths, and say so."""
    prefix = wrapper_prefix(names)
    if prefix:
        for unit in units:
            unit.path = unit.path.removeprefix(prefix)
        yield wrapper_note(prefix)


def _without_copies(found: WeightMap, source: LazyTensors) -> Iterator[Unmatched]:
    """What has no partner; a tensor is needless when another one with a partner holds its values: they were tied.

    Only of matrices, and not of constant ones, is that no accident.
    """
    alike: dict[object, list[str]] = defaultdict(list)  # shape and dtype → names with a partner
    for name in found.names:
        info = source.info(name)
        alike[info.shape, info.dtype].append(name)
    for one in found.unmatched_source:
        twin = None
        if one.severity == ERROR and len(one.shape) > 1 and not isinstance(source, Shapes):
            array = source[one.name]
            if array.size and (array != array.flat[0]).any():
                rivals = alike.get((array.shape, array.dtype), ())
                twin = next((name for name in rivals if _same_values(array, source[name])), None)
        if twin is not None:
            one = replace(one, reason=f"holds the same values as {twin!r}", candidates=(), severity=HARMLESS)
        yield one


def _same_values(array: Array, other: Array) -> bool:
    return np.array_equal(array[0], other[0]) and np.array_equal(array, other)  # the first row tells most apart


def unmatched_by(given: WeightMap, source: LazyTensors, target: LazyTensors) -> WeightMap:
    """A map that the user gave, with what it leaves out of this source and this target explained.

    Raises:
        WeightMapError: it leads to names that the target does not have, other than those of counters and constants.
    """
    left = units_of(source, layer_rules(source), target)
    right = units_of(target, layer_rules(target), source)
    idle = {slot.name for unit in left for slot in unit.stored() if needless(slot)}
    entries = [e for e in given if set(e.target) <= target.index.keys() or not idle.issuperset(e.source)]
    unknown = [name for entry in entries for name in entry.target if name not in target]
    if unknown:
        raise WeightMapError(f"the weight map leads to names that the target lacks: {', '.join(unknown)}")
    found = given.replaced(entries=entries, order=source)
    known = {u.name: u for u in given.unmatched_source}
    left_out = {u.name: u for u in given.unmatched_target if u.reason == LEFT_OUT}
    left_out |= {n: u for n, u in known.items() if u.reason == LEFT_OUT}  # the file of a map tells of the source alone
    explain_left = Explainer(left, right, found.by_target, {}, Places(()), "target")
    explain_right = Explainer(right, left, found.by_source, {}, Places(()), "source")
    ours, theirs = ([slot for unit in units for slot in unit.stored()] for units in (left, right))
    return found.replaced(
        unmatched_source=[known.get(s.name) or explain_left(s) for s in ours if s.name not in found],
        unmatched_target=[left_out.get(s.name) or explain_right(s) for s in theirs if s.name not in found.by_target],
    )


def match(source: Sequence[Unit], target: Sequence[Unit]) -> WeightMap:
    """The weight map from the units of a source to those of a target.

    Raises:
        WeightMapError: the two have next to nothing in common.
    """
    source, target = unstack(source, target)
    left, right = fuse(source, target), fuse(target, source)
    pairs, spare_left, spare_right = _pairs(left, right)
    _require_related(pairs, left, right)
    return _findings(pairs, left, right, spare_left, spare_right)


def _pairs(left: Sequence[Unit], right: Sequence[Unit]) -> tuple[list[Pair], list[Unit], list[Unit]]:
    """The pairs of units, and what is left over on either side: what stands elsewhere stays open."""
    left, right, tied_left, tied_right = _without_ties(left, right)
    pairs, spare_left, spare_right = align(left, right)
    pairs = behind_partners(pairs, left, right)
    counts = [Counter(map(_SIGNATURE, units)) for units in (left, right)]
    loose = {id(p) for p in pairs if p.loose and (p.source.flat or any(c[p.source.signature] > 1 for c in counts))}
    places = Places([pair for pair in pairs if id(pair) not in loose])
    pairs = [pair for pair in pairs if id(pair) not in loose or places.agree(pair.source, pair.target)]
    for key in (_SIGNATURE, _MAIN):
        places, (spare_left, spare_right) = Places(pairs), without(pairs, left, right)
        if key is _MAIN and spare_left and spare_right:  # without biases, and lone parameters against layers of one
            more, _, _ = align(spare_left, spare_right, key)
            pairs += [replace(pair, sound=False) for pair in more if places.agree(pair.source, pair.target)]
            spare_left, spare_right = without(pairs, left, right)
        more, spare_left, spare_right = by_place(places, spare_left, spare_right, key)
        pairs += more
    for step in (_norms_by_place, _biases_by_place, fuse_by_place):
        more, spare_left, spare_right = step(Places(pairs), spare_left, spare_right)
        pairs += more
    return pairs, [*spare_left, *tied_left], [*spare_right, *tied_right]


def _norms_by_place(
    places: Places, left: Sequence[Unit], right: Sequence[Unit]
) -> tuple[list[Pair], list[Unit], list[Unit]]:
    """Pair norms of two kinds that stand in one place: they scale and shift alike, and normalise otherwise."""

    def size(unit: Unit) -> object:
        return unit.slots["scale"].place[1] if unit.families <= NORMS and "scale" in unit.slots else id(unit)

    return by_place(places, left, right, size, lambda a, b: not compatible(a, b))


def _biases_by_place(
    places: Places, left: Sequence[Unit], right: Sequence[Unit]
) -> tuple[list[Pair], list[Unit], list[Unit]]:
    """Pair layers in one place of which one side holds the bias alone: its weight is another layer's as well."""

    def size(unit: Unit) -> object:
        return unit.slots["bias"].place if "bias" in unit.slots else id(unit)

    return by_place(places, left, right, size, lambda a, b: compatible(a, b) and 1 in (len(a.slots), len(b.slots)))


def _without_ties(left: Sequence[Unit], right: Sequence[Unit]) -> tuple[list[Unit], list[Unit], list[Unit], list[Unit]]:
    """The units of both sides that compete for partners, and those that do not.

    A tensor that is another one as well needs no partner of its own: it has none where the other side has fewer layers
    of its kind.
    """
    sides: tuple[list[Unit], list[Unit]] = (list(left), list(right))
    tied: tuple[list[Unit], list[Unit]] = ([], [])
    for both in side_by_side(left, right, _SIGNATURE):
        for side in (0, 1):
            own = [unit for unit in both[side] if all(slot.tied_to for slot in unit.slots.values())]
            surplus = len(both[side]) - len(both[1 - side])
            tied[side].extend(own[max(len(own) - surplus, 0) :] if surplus > 0 else [])
    for side in (0, 1):
        idle = {id(unit) for unit in tied[side]}
        sides[side][:] = [unit for unit in sides[side] if id(unit) not in idle]
        tied[side].extend(_stripped(sides[side], {unit.signature for unit in sides[1 - side]}))
    return *sides, *tied


def _stripped(units: list[Unit], others: Container[object]) -> Iterator[Unit]:
    """Take tied tensors off the layers that the other side does not have with them; what was taken off comes back."""
    for place, unit in enumerate(units):
        tied = {role: slot for role, slot in unit.slots.items() if slot.tied_to}
        if tied and len(tied) < len(unit.slots) and unit.signature not in others:
            yield Unit(unit.path, unit.families, unit.position, unit.lone, tied)
            rest = {role: slot for role, slot in unit.slots.items() if role not in tied}
            units[place] = replace(unit, slots=rest)


def _require_related(pairs: Sequence[Pair], left: Sequence[Unit], right: Sequence[Unit]) -> None:
    smaller = min(len(left), len(right))
    if len(pairs) < smaller * _RELATED or not smaller:
        raise WeightMapError(
            f"source and target do not belong together: of {len(left)} layers in the source and {len(right)} in the "
            f"target, only {len(pairs)} could be the same by their kinds and shapes"
        )


def _findings(
    pairs: Sequence[Pair],
    left: Sequence[Unit],
    right: Sequence[Unit],
    spare_left: Sequence[Unit],
    spare_right: Sequence[Unit],
) -> WeightMap:
    """The entries of an alignment, and explanations of what is left over."""
    paired = [(a, b, pair) for pair in pairs for a, b in _slots(pair)]
    owner = {id(a): pair for a, _, pair in paired}
    groups = list(joined((a, b) for a, b, _ in paired))
    entries = [entry for group in groups for entry in _apart(_entry(owner[id(group[0][0])], group))]
    done = {id(slot) for group in groups for both in group for slot in both}
    lost_left = [slot for unit in spare_left for slot in unit.slots.values()]
    lost_right = [slot for unit in spare_right for slot in unit.slots.values()]
    bare: dict[str, Pair] = {}  # parameters of matched layers whose partner lacks the role
    for pair in pairs:
        for unit, spare in ((pair.source, lost_left), (pair.target, lost_right)):
            for slot in unit.slots.values():
                if id(slot) not in done:
                    spare.append(slot)
                    bare.update((part.name, pair) for part in slot.stored())
    order = _names(left)
    position = {name: place for place, name in enumerate(order)}
    entries.sort(key=lambda entry: position[entry.source[0]])
    places, foldable = Places(pairs), folds(pairs, left, right)
    found = WeightMap(entries, ambiguous=_ambiguous(places, spare_left, spare_right), order=order)
    explain_left = Explainer(left, right, found.by_target, bare, places, "target", foldable)
    explain_right = Explainer(right, left, found.by_source, bare, places, "source")
    return found.replaced(
        unmatched_source=[explain_left(part) for part in _stored(lost_left)],
        unmatched_target=[explain_right(part) for part in _stored(lost_right)],
    )


def _ambiguous(places: Places, spare_left: Iterable[Unit], spare_right: Iterable[Unit]) -> Iterator[Ambiguity]:
    """What is left over on both sides although it would fit, in kind, shape and place."""
    for left, right in side_by_side(spare_left, spare_right, _SIGNATURE):
        fitting = [(a, b) for a in left for b in right if compatible(a, b) and places.agree(a, b)]
        if fitting:
            first = {id(a): a for a, _ in fitting}.values()
            second = {id(b): b for _, b in fitting}.values()
            yield Ambiguity(
                _names(first),
                _names(second),
                f"{len(first)} in the source and {len(second)} in the target are equal in kind and shape, and "
                "their names do not tell which belongs to which",
            )


def _names(units: Iterable[Unit]) -> tuple[str, ...]:
    return tuple(slot.name for unit in units for slot in unit.stored())


def _slots(pair: Pair) -> Iterator[tuple[Slot, Slot]]:
    """The tensors of two matched units, by place; units of one tensor each match whatever it is called."""
    mine, theirs = list(pair.source.slots.values()), list(pair.target.slots.values())
    places = {slot.place[0]: slot for slot in theirs}
    if len(mine) == len(theirs) == 1:
        yield mine[0], theirs[0]
        return
    if pair.source.lone or pair.target.lone:  # one tensor against a layer's weight
        main = [unit.slots.get("weight") or unit.slots.get("scale") for unit in (pair.source, pair.target)]
        yield main[0] or mine[0], main[1] or theirs[0]
        return
    for slot in mine:
        partner = places.get(slot.place[0])
        if partner is not None and slot.place == partner.place:
            yield slot, partner


def _stored(slots: Iterable[Slot]) -> Iterable[Slot]:
    """Their tensors, each once."""
    return {part.name: part for slot in slots for part in slot.stored()}.values()


def _entry(pair: Pair, group: Sequence[Paired]) -> MapEntry:
    equal = pair.source.path == pair.target.path
    if pair.evidence in GUESSED:
        how, certainty = "execution" if pair.evidence == EXECUTION else "order", GUESS
    else:
        how = "equal name" if equal else "alignment"
        certainty = CERTAIN if pair.sound and (equal or _same_words(pair)) else LIKELY
    doubt = _doubt(pair, group)
    certainty = LIKELY if doubt and certainty == CERTAIN else certainty
    return MapEntry(names(group, 0), names(group, 1), transform(group), how, certainty, doubt)


def _apart(entry: MapEntry) -> Iterator[MapEntry]:
    """An entry for each tensor, where both sides hold the same parts and nothing is joined."""
    if entry.transform is None and len(entry.source) == len(entry.target) > 1:
        pairs = zip(entry.source, entry.target, strict=True)
        yield from (replace(entry, source=(a,), target=(b,), doubt="") for a, b in pairs)
    else:
        yield entry


def _doubt(pair: Pair, group: Sequence[Paired]) -> str:
    """What differs between partners all the same."""
    if not compatible(pair.source, pair.target):
        return (
            f"the source has a {pair.source.family} here, the target a {pair.target.family}: they scale and shift "
            "alike and normalise otherwise, unless their settings make them one (ts.compare_settings)"
        )
    if group[0][0].gaps == group[0][1].gaps:
        return ""
    for slot, consequence in zip(group[0], ("zeros stand for it", "its part gets lost"), strict=True):
        if slot.gaps:
            return f"{len(slot.gaps)} of the layers that are joined have no {slot.role}: {consequence}"
    return ""


def _same_words(pair: Pair) -> bool:
    """Whether the two paths say the same in near words, and their last components in the same ones."""
    a, b = pair.source.path, pair.target.path
    mine, theirs = words(a), words(b)
    last = [spelling(path.rpartition(".")[2]) for path in (a, b)]
    return (
        last[0] == last[1]
        and len(numbers(a)) == len(numbers(b))
        and all(any(nearness(x, y) >= _NEAR for y in theirs) for x in mine)
        and all(any(nearness(x, y) >= _NEAR for x in mine) for y in theirs)
    )
