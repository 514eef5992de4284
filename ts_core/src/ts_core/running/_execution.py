"""Running a network once, and taking what it returned as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ts_core.contract.readers import LazyTensors
from ts_core.contract.tracing import Call, Inputs, Place, leaves
from ts_core.errors import ArgumentError
from ts_core.frameworks import to_numpy
from ts_core.running._tracing import observe
from ts_core.sources import NetworkTensors

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def run(tensors: LazyTensors, inputs: Inputs) -> tuple[list[str], list[Array]]:
    """The paths of a network's layers in the order in which they run first, and its outputs, in evaluation mode.

    Raises:
        ArgumentError: it is no network, or its plug-in cannot run one.
    """
    if not isinstance(tensors, NetworkTensors):
        raise ArgumentError("sample_inputs needs two networks: a file cannot be run")
    order = _Order()
    output = observe(tensors.net, inputs, order).output
    return list(order.paths), [to_numpy(leaf) for _, leaf in leaves(output) if leaf is not None]


class _Order:
    """Notes the paths of the layers that are called."""

    def __init__(self) -> None:
        self.paths: dict[str, None] = {}

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if call.layer is not None:
            self.paths.setdefault(call.path)

    def leave(self, call: Call, output: object) -> None:
        """What a layer returns is of no interest."""

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> None:
        """There is no backward pass."""
