"""What running both networks on the same inputs tells of a map: the order of the layers, and whether outputs agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError
from ts_core.mapping.units import Unit
from ts_core.mapping.weight_map import WeightMap
from ts_core.frameworks.parameters import load_parameters
from ts_core.frameworks.registry import registry
from ts_core.sources import NetworkTensors
from ts_core.frameworks.tensors import to_numpy

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


def sample_arrays(sample_inputs: object) -> list[Array]:
    """One input, or a tuple or list of them, as arrays."""
    given = sample_inputs if isinstance(sample_inputs, tuple | list) else (sample_inputs,)
    return [to_numpy(each) for each in given]


def run(tensors: LazyTensors, inputs: Sequence[Array]) -> tuple[list[str], list[Array]]:
    """The paths of a network's layers in the order in which they run, and its outputs.

    Raises:
        ArgumentError: it is no network, or its plug-in cannot run one.
    """
    if not isinstance(tensors, NetworkTensors):
        raise ArgumentError("sample_inputs needs two networks: a file cannot be run")
    result = registry().first("run_network", tensors.net, net=tensors.net, inputs=inputs)
    if result is None:
        raise ArgumentError(f"sample_inputs: the plug-in of {type(tensors.net).__name__} does not run networks")
    paths, output = result
    return paths, list(_arrays(output))


def _arrays(output: object) -> Iterator[Array]:
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, tuple | list):
        for part in output:
            yield from _arrays(part)
    elif output is not None:
        yield to_numpy(output)


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
    found: WeightMap, source: LazyTensors, target: NetworkTensors, expected: Sequence[Array], inputs: Sequence[Array]
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
