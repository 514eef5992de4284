"""From pairs of slots to entries of a map: several pairs where one tensor of a side joins what the other has apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from ts_core.contract.transforms import (
    Concatenate,
    Each,
    InsertAxis,
    InsertZeros,
    RemoveAxis,
    Reshape,
    Transform,
    chain,
)
from ts_core.mapping._units import Shape, Slot

Paired = tuple[Slot, Slot]


def joined(pairs: Iterable[Paired]) -> Iterator[tuple[Paired, ...]]:
    """The same pairs, those of one tensor together, in the order of its roles; left out where it is not complete."""
    groups: dict[tuple[int, str], list[Paired]] = defaultdict(list)
    for position, pair in enumerate(pairs):
        side = next((side for side in (0, 1) if pair[side].joint), None)
        groups[(2, str(position)) if side is None else (side, pair[side].name)].append(pair)
    for (side, _), group in groups.items():
        if side == 2:
            yield tuple(group)
            continue
        whole = group[0][side].joint
        other = {pair[1 - side].joint for pair in group}
        group.sort(key=lambda pair: pair[side].share)
        complete = [pair[side].share for pair in group] == list(range(len(whole)))
        if complete and other in ({()}, {whole}) and _alike(group, 1 - side):
            yield tuple(group)


def _alike(group: Sequence[Paired], side: int) -> bool:
    """Whether one transform for each takes them to their canonical layout, and this to that of the partner."""
    return (
        len({pair[side].layout for pair in group}) == 1
        and not any(slot.parts for pair in group for slot in pair)
        and all(a.canonical == b.canonical for a, b in group)
    )


def names(group: Sequence[Paired], side: int) -> tuple[str, ...]:
    """The tensors of one side, each once."""
    return tuple(dict.fromkeys(part.name for pair in group for part in pair[side].stored()))


def transform(group: Sequence[Paired]) -> Transform | None:
    """From the stored layout of one side to that of the other, by way of the canonical one."""
    source, target = group[0]
    if len(group) == 1:
        return chain(
            _fused(source),
            source.layout.inverse() if source.layout else None,
            _thin_axes(source.canonical, target.canonical),
            target.layout,
            whole.inverse() if (whole := _fused(target)) else None,
        )
    return chain(_of_several(source, lambda layout: layout.inverse()), _of_several(target, lambda layout: layout))


def _of_several(slot: Slot, way: Callable[[Transform], Transform]) -> Transform | None:
    """The layout of a tensor that holds several roles, or of several that are alike."""
    if slot.layout is None:
        return None
    return way(slot.layout) if slot.joint else Each(way(slot.layout))


def _fused(slot: Slot) -> Transform | None:
    """How the parts of a fused slot become one: each in canonical layout, one after another along the outputs.

    Zeros stand for the bias of a part that has none.
    """
    if not slot.parts:
        return None
    layout, sizes = slot.parts[0].layout, [part.canonical[slot.axis] for part in slot.parts]
    for position, shape in slot.gaps:
        sizes.insert(position, shape[0])
    zeros = (InsertZeros(position, shape) for position, shape in slot.gaps)
    return chain(Each(layout.inverse()) if layout else None, *zeros, Concatenate(slot.axis, tuple(sizes)))


def _thin_axes(before: Shape, after: Shape) -> Transform | None:
    """From one shape to another that differs in axes of size 1, which hold no order of elements."""
    if before == after:
        return None
    for axis in range(max(len(before), len(after))):
        if (*before[:axis], 1, *before[axis:]) == after:
            return InsertAxis(axis)
        if (*after[:axis], 1, *after[axis:]) == before:
            return RemoveAxis(axis)
    return Reshape(before, after)
