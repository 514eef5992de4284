"""``ts.transfer``: the weights of any source, into a network."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterable

from ts_core.conversion import (
    MISSING,
    NOT_APPLICABLE,
    SHAPE_DIFFERS,
    UNEXPECTED,
    ConversionReport,
    ConversionRow,
    mapped_rows,
)
from ts_core.errors import WeightMapError
from ts_core.mapping.weight_map import ERROR, HARMLESS, MappedTensors, Unmatched, WeightMap
from ts_core.model import CheckpointIndex

_log = logging.getLogger(__name__)
_SHOWN = 20  # problems that an error lists before it counts the rest


def transfer(
    source: object, net: object, *, weight_map: WeightMap | None = None, strict: bool = True
) -> ConversionReport:
    """Put the weights of any source into a network.

    Args:
        source: a network of any framework, the path of a checkpoint, or a mapping of names to tensors.
        net: the network to load into, of any framework; arrays are cast to the dtypes of its parameters.
        weight_map: which tensor goes where; by default the source is matched to the network.
        strict: raise when a tensor of either side has no partner, when a choice was ambiguous, or when a shape
            differs; the network is then unchanged. A parameter of a matched layer whose partner was made without it
            (a bias) gets lost with a warning; counters and constants need no partner.

    Returns:
        One row for each parameter; true when all of them arrived.

    Raises:
        ArgumentTypeError: `source` is none of these, or `net` is not a network.
        WeightMapError: strict, and something has no place; or the two have next to nothing in common.
    """
    from ts_core.mapping.matching import match_sources, unmatched_by
    from ts_core.parameters import load_parameters, parameters
    from ts_core.sources import NetworkTensors, borrowed

    places = {p.name: p for p in parameters(net) if p.persistent}
    with borrowed(source) as tensors, NetworkTensors(net) as wanted:
        found = match_sources(tensors, wanted) if weight_map is None else unmatched_by(weight_map, tensors, wanted)
        mapped = found.apply(tensors)
        wrong = [
            Unmatched(name, info.shape, f"the network has {places[name].shape}, the map gives {info.shape}")
            for name, info in mapped.index.items()
            if name in places and info.shape != places[name].shape
        ]
        problems = _problems(found, wrong)
        if strict and problems:
            raise WeightMapError(_summary(problems))
        lost = [u for u in found.unmatched_source if u.severity not in (ERROR, HARMLESS)]
        for unmatched in lost:
            _log.warning("%s %s: %s", unmatched.name, unmatched.shape, unmatched.reason)
        guesses = sum(entry.certainty == "guess" for entry in found)
        if guesses:
            _log.warning("%d of %d entries were matched by order alone; check the outputs", guesses, len(found))
        refused = {unmatched.name for unmatched in wrong}
        arrays = {name: mapped[name] for name in mapped if name in places and name not in refused}
        load_parameters(net, arrays, strict=False)
        return _report(found, mapped, tensors.index, refused)


def _problems(found: WeightMap, wrong: Iterable[Unmatched]) -> list[str]:
    """What strictness does not allow, a line each."""
    lines = [f"ambiguous: {', '.join(a.source)} -> {' or '.join(a.target)}: {a.reason}" for a in found.ambiguous]
    lines += [f"wrong shape: {u.name}: {u.reason}" for u in wrong]
    for title, unmatched in (("no place for", found.unmatched_source), ("nothing for", found.unmatched_target)):
        lines += [f"{title} {u.name} {u.shape}: {u.reason}" for u in unmatched if u.severity == ERROR]
    return lines


def _summary(problems: list[str]) -> str:
    shown = [f"  {line}" for line in problems[:_SHOWN]]
    more = [f"  ... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "\n".join(["the weights do not fit the network, which is unchanged:", *shown, *more])


def _report(
    found: WeightMap, mapped: MappedTensors, source: CheckpointIndex, refused: Collection[str]
) -> ConversionReport:
    rows = [
        dataclasses.replace(row, status=SHAPE_DIFFERS) if row.target in refused else row
        for row in mapped_rows(source, mapped, found.entries)
    ]
    rows += [
        ConversionRow(u.name, None, NOT_APPLICABLE if u.severity == HARMLESS else UNEXPECTED, u.shape, None)
        for u in found.unmatched_source
    ]
    place = {name: position for position, name in enumerate(source)}
    rows.sort(key=lambda row: place[str(row.source)])
    rows += [
        ConversionRow(None, u.name, NOT_APPLICABLE if u.severity == HARMLESS else MISSING, None, u.shape)
        for u in found.unmatched_target
    ]
    return ConversionReport(tuple(rows), found.notes)
