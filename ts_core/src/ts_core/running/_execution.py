"""Running a network once, and taking what it returned as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError
from ts_core.frameworks import registry, to_numpy
from ts_core.sources import NetworkTensors

if TYPE_CHECKING:
    import numpy as np

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
