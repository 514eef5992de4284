"""What stands on a side of the search: a network or a trace, and its parameters."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.contract.tracing import Traced
from ts_core.errors import ArgumentError, ArgumentTypeError, RunError, TsError
from ts_core.frameworks import framework_of, load_parameters, no_plugin, to_numpy
from ts_core.mapping import WeightMap
from ts_core.running import Recorder, Trace, observe
from ts_core.sources import NetworkTensors

Array = np.ndarray[Any, np.dtype[Any]]
Loss = Callable[[Any], Any]
Owner = tuple[str, str | None, Any]  # the path of a layer, its kind, the role of a parameter there


def side(given: object, name: str) -> object:
    """A network, or a trace. Raises ArgumentTypeError, and CheckpointError for a file that is none."""
    if isinstance(given, Trace):
        return given
    if isinstance(given, str | os.PathLike):
        return Trace.open(given)
    if framework_of(given) is None:
        raise ArgumentTypeError(f"{name}: neither a network nor a trace: {no_plugin(given)}")
    return given


def losses(given: Any, nets: list[object]) -> list[Loss | None]:
    """The loss of each side. Raises ArgumentError, ArgumentTypeError."""
    if given is None:
        return [None, None]
    live = [not isinstance(net, Trace) for net in nets]
    functions = list(given) if isinstance(given, tuple | list) else [given if alive else None for alive in live]
    if sum(live) == 2 and not isinstance(given, tuple | list):
        raise ArgumentError("loss: two networks need two functions: (of the source, of the target)")
    if len(functions) != 2 or not all(callable(f) for f, alive in zip(functions, live, strict=True) if alive):
        raise ArgumentTypeError("loss: a pair of functions, each from the output of its network to a scalar")
    if any(isinstance(net, Trace) and net.loss is None for net in nets):
        raise ArgumentError("loss: the trace has no gradients; make it with ts.trace(..., loss=)")
    return functions


def recorded(
    net: object, inputs: object, recorder: Recorder, loss: Loss | None, begin: Callable[[object], None]
) -> Traced:
    """Run a network with a recorder. Raises RunError, with the layer, for what the network raises."""
    recorder.begin, recorder.differentiates = begin, loss is not None
    try:
        traced = observe(net, inputs, recorder, training=None, loss=loss)
    except TsError:
        raise
    except Exception as problem:
        told = "; ".join([f"{type(problem).__name__}: {problem}", *getattr(problem, "__notes__", ())])
        raise RunError(
            f"the {type(net).__name__} ({framework_of(net)}) does not run on these inputs: {told}"
        ) from problem
    if loss is not None:
        recorder.keep_backward(traced)
    return traced


class TraceParameters(LazyTensors):
    """The parameters that a trace holds."""

    def __init__(self, trace: Trace) -> None:
        self._trace, self._names = trace, trace.parameters
        infos = {n: trace.index[full] for n, full in self._names.items()}
        self._index = CheckpointIndex({n: TensorInfo(n, i.shape, i.dtype, i.nbytes) for n, i in infos.items()})
        self.owners = trace.owners

    @property
    def index(self) -> CheckpointIndex:
        """Names, shapes and dtypes."""
        return self._index

    def read(self, name: str) -> Array:
        """One parameter."""
        return self._trace.read(self._names[name])


def tensors_of(net: object) -> LazyTensors:
    """The parameters of a network, or of the trace of one."""
    return TraceParameters(net) if isinstance(net, Trace) else NetworkTensors(net)


def owners_of(tensors: LazyTensors) -> Mapping[str, Owner]:
    """Name of a parameter → the layer that owns it."""
    if isinstance(tensors, TraceParameters):
        return tensors.owners
    assert isinstance(tensors, NetworkTensors)
    return {p.name: (p.layer, p.kind, p.role) for p in tensors.parameters}


def frozen_in(tensors: LazyTensors) -> frozenset[str]:
    """Names of the parameters that take no gradient, as far as that is known."""
    known = tensors.parameters if isinstance(tensors, NetworkTensors) else []
    return frozenset(p.name for p in known if not p.trainable)


def gradients_side_by_side(
    weights: WeightMap, source: Trace, tensors: tuple[LazyTensors, LazyTensors], found: Mapping[str, object]
) -> dict[str, tuple[Array, Array | None]]:
    """Name in the target → what the gradient of a parameter should be, and what it is; None where there is none.

    Args:
        weights: from the source to the target.
        source: the run, with gradients.
        tensors: of both sides.
        found: the target's gradients, by the path of the parameter.
    """
    own = tensors[1].parameters if isinstance(tensors[1], NetworkTensors) else []
    names = {p.path: p.name for p in own}
    theirs = {names.get(path, path): gradient for path, gradient in found.items()}
    pairs: dict[str, tuple[Array, Array | None]] = {}
    for entry in weights.entries:
        known = [source.gradient_of(name) for name in entry.source]
        if all(gradient is None for gradient in known):
            continue
        filled = (np.zeros(tensors[0].info(n).shape, np.float32) for n in entry.source)
        arrays = [zero if g is None else g for g, zero in zip(known, filled, strict=True)]
        moved = entry.transform.apply(*arrays) if entry.transform else arrays
        for name, expected in zip(entry.target, moved, strict=True):
            got = theirs.get(name)
            pairs[name] = expected, None if got is None else np.array(to_numpy(got))
    return pairs


@contextlib.contextmanager
def holding(net: object, values: Mapping[str, Array]) -> Iterator[object]:
    """A network with other values of some parameters; afterwards it has its own again."""
    if not values:
        yield net
        return
    tensors = NetworkTensors(net)
    before = {name: np.array(tensors[name]) for name in values}
    try:
        yield load_parameters(net, values, strict=False).network or net
    finally:
        load_parameters(net, before, strict=False)
