"""What running both networks on the same inputs tells of a map: the order of the layers, and whether outputs agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.readers import LazyTensors
from ts_core.contract.tracing import Inputs
from ts_core.frameworks import load_parameters
from ts_core.mapping._units import Unit
from ts_core.mapping._weight_map import WeightMap
from ts_core.running import run
from ts_core.sources import NetworkTensors

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


def in_order(units: Sequence[Unit], paths: Sequence[str]) -> list[Unit]:
    """The units in the order in which their layers run; those that do not run stay behind the one before them."""
    place = {path: number for number, path in enumerate(paths)}
    latest = -1
    ranks = []
    for unit in units:
        parts = unit.path.split(".")
        prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        latest = next((place[prefix] for prefix in prefixes if prefix in place), latest)
        ranks.append(latest)
    ordered = [units[i] for i in sorted(range(len(units)), key=lambda i: ranks[i])]
    for position, unit in enumerate(ordered):
        unit.position = position
    return ordered


def verdict(
    found: WeightMap, source: LazyTensors, target: NetworkTensors, expected: Sequence[Array], inputs: Inputs
) -> str:
    """How far the target's outputs with the mapped weights are from the source's; the target is left as it was."""
    mapped = found.apply(source)
    before = {name: np.array(target[name]) for name in mapped if name in target}
    try:
        load_parameters(target.net, {name: mapped[name] for name in before}, strict=False)
        _, outputs = run(target, inputs)
    finally:
        load_parameters(target.net, before, strict=False)
    shapes = [array.shape for array in expected], [array.shape for array in outputs]
    if shapes[0] != shapes[1]:
        return f"the outputs on the sample inputs have other shapes: {shapes[0]} and {shapes[1]}"
    difference = max(
        (float(np.abs(a - b).max()) / (float(np.abs(a).max()) or 1.0) for a, b in zip(expected, outputs, strict=True)),
        default=0.0,
    )
    return f"outputs on the sample inputs: largest difference ÷ largest output is {difference:.1e}"
