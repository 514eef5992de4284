"""What running both networks on the same inputs tells of a map: the order of the layers, and whether outputs agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.tracing import Call, Inputs, Place, leaves
from ts_core.frameworks import to_numpy
from ts_core.mapping._holding import holding
from ts_core.mapping._nouns import GUESS, MapEntry
from ts_core.mapping._units import Unit
from ts_core.mapping._weight_map import WeightMap
from ts_core.running import observe, run
from ts_core.sources import NetworkTensors

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

# Largest difference ÷ largest output that the same computation in two frameworks may show, in float32 and many layers.
NOISE = 1e-4


def in_order(units: Sequence[Unit], paths: Sequence[str]) -> list[Unit]:
    """The units in the order in which their layers run; those that do not run stay behind the one before them."""
    place = {path: number for number, path in enumerate(paths)}
    latest = -1
    ranks = []
    for unit in units:
        parts = unit.path.split(".")
        prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        rank = next((place[prefix] for prefix in prefixes if prefix in place), None)
        unit.ran, latest = rank is not None, latest if rank is None else rank
        ranks.append(latest)
    ordered = [units[i] for i in sorted(range(len(units)), key=lambda i: ranks[i])]
    for position, unit in enumerate(ordered):
        unit.position = position
    return ordered


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the outputs with the mapped weights say of a map.

    Attributes:
        difference: the largest one, relative to the largest output; infinite when the shapes differ.
        note: the same in words.
        parting: path of the first layer of the source, in the order in which they run, whose outputs are others than
            those of its partner; empty when the outputs agree, or no layer tells.
    """

    difference: float
    note: str
    parting: str = ""


def verdict(
    found: WeightMap, source: NetworkTensors, target: NetworkTensors, expected: Sequence[Array], inputs: Inputs
) -> Verdict:
    """How far the target's outputs with the mapped weights are from the source's; the target is left as it was."""
    with holding(found, source, target):
        _, outputs = run(target, inputs)
        shapes = [array.shape for array in expected], [array.shape for array in outputs]
        if shapes[0] != shapes[1]:
            note = f"the outputs on the sample inputs have other shapes: {shapes[0]} and {shapes[1]}"
            return Verdict(float("inf"), note)
        pairs = zip(expected, outputs, strict=True)
        difference = max(
            (float(np.abs(a - b).max()) / (float(np.abs(a).max()) or 1.0) for a, b in pairs if a.size), default=0.0
        )
        note = f"outputs on the sample inputs: largest difference ÷ largest output is {difference:.1e}"
        if difference <= NOISE:
            return Verdict(difference, note)
        return Verdict(difference, note, _parting(found, source, target, inputs))


def _parting(found: WeightMap, source: NetworkTensors, target: NetworkTensors, inputs: Inputs) -> str:
    """The first layer of the source, in the order of execution, whose outputs are others than its partner's."""
    ours, theirs = _Outputs(), _Outputs()
    for tensors, observer in ((source, ours), (target, theirs)):
        observe(tensors.net, inputs, observer)
    owners = [{p.name: p.layer for p in tensors.parameters} for tensors in (source, target)]
    partner = {owners[0][e.source[0]]: owners[1][e.target[0]] for e in found if len(e.source) == len(e.target) == 1}
    for path, output in ours.told.items():
        other = theirs.told.get(partner.get(path, ""))
        if path and other is not None and not np.allclose(output, other, rtol=1e-2, atol=1e-3 * abs(output[1])):
            return path
    return ""


class _Outputs:
    """Notes of each layer what its first output is like, whatever the layout: its mean, deviation and extremes."""

    def __init__(self) -> None:
        self.told: dict[str, Array] = {}

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """What a layer is given is of no interest."""

    def leave(self, call: Call, output: object) -> None:
        first = next((leaf for _, leaf in leaves(output) if leaf is not None), None)
        if call.layer is not None and first is not None and call.path not in self.told:
            array = np.asarray(to_numpy(first), dtype=np.float64)
            if array.size:
                self.told[call.path] = np.array([array.mean(), array.std(), array.min(), array.max()])

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> None:
        """There is no backward pass."""


def doubted(found: WeightMap, said: Verdict, source: NetworkTensors) -> WeightMap:
    """The map with its doubts, where the outputs differ by more than noise: what was guessed, and where they part."""
    if said.difference <= NOISE:
        return found
    owner = {p.name: p.layer for p in source.parameters}

    def doubt(entry: MapEntry) -> str:
        if said.parting and owner[entry.source[0]] == said.parting:
            return (
                "the outputs on the sample inputs part at this layer first: other weights belong here, its settings "
                "differ (ts.compare_settings), or something between it and the layer before"
            )
        if entry.certainty == GUESS:
            return "the outputs on the sample inputs differ, and nothing but the order of the layers chose this"
        return entry.doubt

    entries = [replace(entry, doubt=doubt(entry)) for entry in found]
    names = [name for entry in entries if entry.doubt for name in entry.source]
    told = [f"in doubt for that reason: {', '.join(names)}"] if names else []
    return found.replaced(entries=entries, notes=[*found.notes, *told])
