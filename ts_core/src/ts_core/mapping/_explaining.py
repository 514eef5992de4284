"""Why a tensor has no partner, what came nearest to it, and what to do about it."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ts_core.mapping._alignment import Pair
from ts_core.mapping._choosing import GUESSED
from ts_core.mapping._names import numbers, overlap, words
from ts_core.mapping._nouns import HARMLESS, LOST, Fold, MapEntry, Unmatched
from ts_core.mapping._places import Places
from ts_core.mapping._units import BIAS_IS_OPTIONAL, BIASES_ARE_ADDED, Slot, Unit, compatible

# How many tensors are looked at for each word and size, and on either side of a place.
_LOOKED_AT, _BESIDE = 30, 4


class Explainer:
    """Says of a tensor without a partner why it has none, and what came nearest on the other side.

    Args:
        own: the units of its side.
        others: the units of the other side.
        taken: names of the other side that have a partner → the entry.
        bare: names of parameters that the partner of their layer lacks → the two layers.
        places: what is known of the places of layers.
        side: what the other side is called.
        folds: names of biases that the partner of their layer lacks → where they can go instead.
    """

    def __init__(
        self,
        own: Iterable[Unit],
        others: Iterable[Unit],
        taken: Mapping[str, MapEntry],
        bare: Mapping[str, Pair],
        places: Places,
        side: str,
        folds: Mapping[str, Fold] = MappingProxyType({}),
    ) -> None:
        self._folds = folds
        self._taken, self._bare, self._places, self._side = taken, bare, places, side
        self._unit = {slot.name: unit for unit in own for slot in unit.stored()}
        self._slots = [(slot, unit) for unit in others for slot in unit.stored()]
        self._by_name = {slot.name: place for place, (slot, _) in enumerate(self._slots)}
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for place, (slot, _) in enumerate(self._slots):
            for word in words(slot.name):
                self._by_word[word].append(place)
        free = [place for place, (slot, _) in enumerate(self._slots) if slot.name not in taken and not needless(slot)]
        self._free = sorted(free, key=self._position)
        self._fitting: dict[object, list[int]] = defaultdict(list)
        for place in self._free:
            self._fitting[self._slots[place][0].place].append(place)

    def __call__(self, slot: Slot) -> Unmatched:
        reason = needless(slot)
        if reason:
            return Unmatched(slot.name, slot.shape, reason, severity=HARMLESS)
        if slot.name in self._bare:
            pair = self._bare[slot.name]
            partner = pair.target if self._side == "target" else pair.source
            reason = f"{partner.path!r} in the {self._side}, its layer's partner, has no {slot.role}"
            if self._side == "source":
                return Unmatched(slot.name, slot.shape, reason)
            if _may_be_lost(slot, pair):
                reason += ": these values get lost, and the outputs will differ"
                fold = self._folds.get(slot.name)
                if fold is not None and fold.mean:
                    reason += (
                        f"; the batch norm behind it can take them, subtracted from {fold.mean!r}, which changes no "
                        f"output (weight_map.fold({slot.name!r}), or fold_biases=True)"
                    )
                return Unmatched(slot.name, slot.shape, reason, severity=LOST, folds_into=fold)
            return Unmatched(slot.name, slot.shape, reason + _cure(slot, pair))
        near = self._nearest(slot)
        names = tuple(self._slots[place][0].name for place in near)
        return Unmatched(slot.name, slot.shape, self._reason(slot, near), names)

    def _position(self, place: int) -> int:
        return self._slots[place][1].position

    def _nearest(self, slot: Slot, count: int = 3) -> list[int]:
        """What may be meant: free ones first, of the same name, then in the same place, then of the same size."""
        own, counted = words(slot.name), numbers(slot.name)
        unit = self._unit[slot.name]
        found = {place for word in own for place in self._by_word.get(word, ())[:_LOOKED_AT]}
        found |= {self._by_name[slot.name]} if slot.name in self._by_name else set()
        found |= {*self._fitting.get(slot.place, ())[:_LOOKED_AT], *self._beside(unit)}

        def farness(place: int) -> tuple[object, ...]:
            other, its_unit = self._slots[place]
            free = other.name not in self._taken and not needless(other)
            return (
                not free,
                other.name != slot.name,
                other.place[0] != slot.place[0],
                not (free and self._agree(unit, its_unit)),
                other.place != slot.place,
                -overlap(own, words(other.name)),
                numbers(other.name) != counted,
                place,
            )

        return sorted(found, key=farness)[:count]

    def _beside(self, unit: Unit) -> list[int]:
        """The free ones about where the unit's neighbours have their partners."""
        middle = self._places.across(0 if self._side == "target" else 1, unit)
        if middle is None:
            return []
        place = bisect(self._free, middle, key=self._position)
        return self._free[max(place - _BESIDE, 0) : place + _BESIDE]

    def _agree(self, unit: Unit, other: Unit) -> bool:
        return self._places.agree(unit, other) if self._side == "target" else self._places.agree(other, unit)

    def _reason(self, slot: Slot, near: list[int]) -> str:
        if not near:
            return f"the {self._side} has nothing of this kind and shape, nor of a similar name"
        other, its_unit = self._slots[near[0]]
        unit = self._unit[slot.name]
        if other.name in self._taken:
            entry = self._taken[other.name]
            partner = entry.source if self._side == "target" else entry.target
            return f"no free partner: {other.name!r}, the nearest, already belongs to {', '.join(partner)}"
        if slot.place[1] != other.place[1]:
            return f"{other.name!r} has the shape {other.shape}, not {slot.shape}"
        if not compatible(unit, its_unit):
            return f"{other.name!r} has the same shape and another kind of layer: {its_unit.family}, not {unit.family}"
        if slot.place[0] != other.place[0]:
            return f"{other.name!r} has the same shape and another role: {other.role}, not {slot.role}"
        if not self._agree(unit, its_unit):
            return f"no free partner at this place: {other.name!r} has the same shape and stands elsewhere"
        return f"{other.name!r} has the same shape and kind, and nothing tells whether it is meant"


def _may_be_lost(slot: Slot, pair: Pair) -> bool:
    """Whether strictness lets a parameter of the source go, with a warning, for which its layer's partner has no place.

    One thing only: the bias of a layer that is built without as often as with it, such as a convolution before a batch
    norm, and whose partner is a layer of the same kind without. Everything else that is missing there means that the
    two layers compute something else.
    """
    return slot.role == "bias" and pair.evidence not in GUESSED and _both_are(pair, BIAS_IS_OPTIONAL)


def _both_are(pair: Pair, families: frozenset[str]) -> bool:
    """Whether all that the two layers may be, both of them, is among these families."""
    shared = pair.source.families & pair.target.families
    return bool(shared) and shared <= families


def _cure(slot: Slot, pair: Pair) -> str:
    """What to do about the bias of a cell whose partner keeps another one only."""
    kind, _, where = slot.role.partition("_")  # bias_ih_l0: of the inputs, in layer 0
    half, _, layer = where.partition("_")
    other = {"ih": "hh", "hh": "ih"}.get(half)
    name = "_".join(filter(None, (kind, str(other), layer)))
    if kind != "bias" or not other or name not in pair.target.slots or name not in pair.source.slots:
        return ""
    if _both_are(pair, BIASES_ARE_ADDED):
        ours = pair.source.slots[name].name
        return f"; this kind of layer adds its biases: add it to {ours!r} in the source first, and leave it out"
    return ""


def needless(slot: Slot) -> str:
    """Why a tensor needs no partner; empty when it needs one."""
    if slot.tied_to:
        return f"the same tensor as {slot.tied_to!r}"
    if slot.role == "batch_count":
        return "a counter that the other framework does not keep"
    if slot.role not in ("mean", "variance") and (
        slot.trainable is False or (slot.trainable is None and slot.integral)
    ):
        return "a constant, which the other side computes itself"
    return ""
