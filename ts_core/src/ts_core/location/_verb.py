"""``ts.locate``: the first place where two networks part, and why."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError, ArgumentTypeError, ComparisonError
from ts_core.frameworks import framework_of, load_parameters, no_plugin, to_numpy
from ts_core.location._backward import Backward, loss_finding
from ts_core.location._code import lines_between
from ts_core.location._forward import Forward
from ts_core.location._hints import backward_hints, hints_for
from ts_core.location._injecting import Injecting
from ts_core.location._judging import Found
from ts_core.location._nouns import BACKWARD, BETWEEN, FORWARD, Finding, Row
from ts_core.location._pairs import anchor_paths, layer_pairs, likely_pairs, side_of, sure_pairs
from ts_core.location._report import LocateReport
from ts_core.location._runs import Run
from ts_core.location._weights import weight_findings
from ts_core.mapping import WeightMap
from ts_core.mapping import weight_map as make_map
from ts_core.running import Recorder, Store, Trace, TracedCall, as_bytes, as_inputs, observe, seeded
from ts_core.sources import NetworkTensors, open_source

Loss = Callable[[Any], Any]


def locate(
    source: object,
    target: object,
    inputs: object = None,
    *,
    loss: tuple[Loss, Loss] | None = None,
    weight_map: object = None,
    tolerance: str | tuple[float, float] = "measured",
    memory: int | str = "512MB",
    seed: int | None = None,
) -> LocateReport:
    """Find every place where two networks of any frameworks part although they get the same inputs.

    Args:
        source: the network that is right, or a trace of it (:func:`ts_core.trace`), or the path of one.
        target: the network to be checked, or a trace of it.
        inputs: what both run on: an array or tensor, a tuple or list of them, a dict of keyword arguments. A trace
            brings its own.
        loss: two functions, of the source and of the target, each from what its network returns to a scalar.
        weight_map: which parameters belong together; made when it is not given.
        tolerance: ``"measured"``: differences count that noise, measured for each layer, does not explain; or a pair of
            a relative and an absolute tolerance.
        memory: bytes of arrays that are held, a number or ``"512MB"``; more of them lie in a temporary file.
        seed: for every random generator.

    Returns:
        The report: true when nothing parts beyond noise.

    Raises:
        ArgumentError: an argument has a value that does not work; the networks get no inputs; a loss is no scalar.
        ArgumentTypeError: source or target is neither a network nor a trace.
        ComparisonError: the two have nothing in common that could be compared.
        WeightMapError: the two do not belong together.
        Whatever a network raises, with a note that names the layer.
    """
    return _Search(source, target, inputs, loss, weight_map, _tolerance(tolerance), as_bytes(memory), seed).report()


def _tolerance(given: object) -> tuple[float, float] | None:
    if given == "measured":
        return None
    if (
        isinstance(given, tuple | list)
        and len(given) == 2
        and all(isinstance(x, int | float) and x >= 0 for x in given)
    ):
        return float(given[0]), float(given[1])
    raise ArgumentError(
        f'tolerance={given!r}: give "measured", or a pair (rtol, atol) of numbers that are not negative'
    )


class _Search:
    def __init__(
        self, source: object, target: object, inputs: object, loss: Any, weight_map: object,
        tolerance: tuple[float, float] | None, memory: int, seed: int | None,
    ) -> None:  # fmt: skip
        self._nets = [_side(each, name) for each, name in ((source, "source"), (target, "target"))]
        self._inputs, self._map = inputs, weight_map
        self._losses = _losses(loss, self._nets)
        self._tolerance, self._memory, self._seed = tolerance, memory, seed
        self._store = Store(memory)
        self._notes: list[str] = []
        self._findings: list[Finding] = []

    def report(self) -> LocateReport:
        """Weights, forward, loss, backward."""
        with seeded(self._seed) as self._begin:
            source = self._recorded(0)
            inputs = source.inputs
            tensors = self._tensors(source, 0), self._tensors(self._nets[1], 1)
            weights = self._weight_map(*tensors)
            owners = [_owners(each) for each in tensors]
            found, right = weight_findings(weights, tensors[0], tensors[1], (owners[0], owners[1]))
            self._findings += found
            layers = layer_pairs(weights, *({n: o[:2] for n, o in each.items()} for each in owners))
            with _holding(self._nets[1], right):
                rows = self._forward(source, layers, inputs, tensors, weights)
        return LocateReport(self._findings, rows, self._notes)

    def _recorded(self, side: int) -> Trace:
        """The run of one side: a trace, or a network that is run now."""
        given = self._nets[side]
        if isinstance(given, Trace):
            return given
        if self._inputs is None:
            raise ArgumentError("inputs: two networks need something to run on; only a trace brings its own inputs")
        recorder = Recorder(given, self._store)
        recorder.begin = self._begin
        traced = observe(given, self._inputs, recorder, training=None, loss=self._losses[side])
        if self._losses[side] is not None:
            recorder.keep_backward(traced)
        return recorder.trace(self._seed)

    def _tensors(self, given: object, side: int) -> LazyTensors:
        if isinstance(given, Trace) and not isinstance(self._nets[side], Trace):
            given = self._nets[side]
        return TraceParameters(given) if isinstance(given, Trace) else open_source(given)

    def _weight_map(self, source: LazyTensors, target: LazyTensors) -> WeightMap:
        if self._map is not None:
            return WeightMap.of(self._map)
        if not len(source) and not len(target):
            return WeightMap(())
        return make_map(source, target)

    def _forward(
        self,
        source: Trace,
        layers: dict[str, str],
        inputs: Any,
        tensors: tuple[LazyTensors, LazyTensors],
        weights: WeightMap,
    ) -> list[Row]:
        net = self._nets[1]
        calls = [call for call in source.calls]
        injecting = Injecting(net, self._store, source, layers)
        injecting.begin = self._begin
        anchors = {b: a for b, a in layers.items() if _whole(a, calls)}
        injecting._anchors = anchors
        observe(net, inputs, injecting, training=None)
        target = injecting.trace(self._seed)
        sides = side_of(source.calls, anchors.values()), side_of(target.calls, anchors)
        sure = {b: a.number for b, a in injecting.partners.items()}
        if not sure and not layers:
            self._notes.append("no layer with parameters belongs together: only the outputs are sure")
        runs = (
            Run("source", None if isinstance(self._nets[0], Trace) else self._nets[0], source, self._memory),
            Run("target", net, target, self._memory),
        )
        shapes = tuple(
            {c.number: [s.index[slot].shape for _, slot in c.outputs] for c in s.calls} for s in (source, target)
        )
        likely = likely_pairs(sure, *sides, shapes)  # type: ignore[arg-type]
        forward = Forward(*runs, sure, likely, self._tolerance)
        if self._losses[1] is not None:
            backward = self._backward(runs, layers, anchors, sure, {**likely, **sure}, forward, tensors, weights)
        for found in forward.found:
            self._findings.append(self._finding(found, runs, sure, likely))
        if self._losses[1] is not None:
            self._findings += backward
        if forward.random:
            names = ", ".join(dict.fromkeys(forward.random))
            self._notes.append(f"random, so put in from the source and not compared: {names}")
        return [_row(each) for _, each in sorted(forward.judged.items())]

    def _backward(
        self, runs: tuple[Run, Run], layers: dict[str, str], anchors: dict[str, str], sure: dict[int, int],
        pairs: dict[int, int], forward: Forward, tensors: tuple[LazyTensors, LazyTensors], weights: WeightMap,
    ) -> list[Finding]:  # fmt: skip
        net = self._nets[1]
        store = Store(self._memory)
        source = runs[0].trace
        injecting = Injecting(
            net, store, source, anchors, pairs={b: a for b, a in pairs.items() if b not in forward.own}
        )
        injecting.begin = self._begin
        traced = observe(net, source.inputs, injecting, training=None, loss=self._losses[1])
        injecting.keep_backward(traced)
        target = injecting.trace(self._seed)
        wrong = loss_finding(source, target)
        owners = _owners(tensors[1])
        names = {p.path: p.name for p in tensors[1].parameters} if isinstance(tensors[1], NetworkTensors) else {}
        frozen = (
            {p.name for p in tensors[1].parameters if not p.trainable}
            if isinstance(tensors[1], NetworkTensors)
            else set()
        )
        theirs = {names.get(path, path): g for path, g in traced.gradients.items()}
        gradients = _gradients(weights, source, tensors[0], theirs)
        run = Run("target", net, target, self._memory)
        search = Backward(runs[0], run, pairs, sure, gradients, owners, frozenset(frozen))
        found = [self._backward_finding(each, (runs[0], run)) for each in search.found]
        return ([wrong] if wrong is not None else []) + found

    def _backward_finding(self, found: Any, runs: tuple[Run, Run]) -> Finding:
        mine, theirs = found.pair
        lines = tuple(lines_between(None, call) for call in found.pair)
        return Finding(
            BACKWARD,
            found.where,
            mine.path,
            theirs.path,
            call=theirs.nth,
            metrics=found.metrics,
            noise=found.noise,
            ratio=found.metrics.ratio(found.noise, float(np.finfo(np.float32).eps)),
            lines=(lines[0], lines[1]),
            hints=tuple(backward_hints(found, runs)),
        )

    def _finding(self, found: Found, runs: tuple[Run, Run], sure: dict[int, int], likely: dict[int, int]) -> Finding:
        mine, theirs = found.pair
        before: tuple[TracedCall, TracedCall] | None = None
        if found.where == BETWEEN:
            before = _last_before(found, runs, {**likely, **sure})
        ends = [None if found.output and not call.path else call for call in found.pair]
        lines = tuple(
            lines_between(None if before is None else before[i], ends[i] if found.where == BETWEEN else call)
            for i, call in enumerate(found.pair)
        )
        return Finding(
            FORWARD,
            found.where,
            mine.path,
            theirs.path,
            after=() if before is None else (before[0].path, before[1].path),
            call=theirs.nth,
            metrics=found.metrics,
            noise=found.noise,
            ratio=found.metrics.ratio(found.noise, float(np.finfo(np.float32).eps)),
            lines=(lines[0], lines[1]),
            hints=tuple(hints_for(found, runs, before)),
        )


def _losses(given: Any, nets: list[object]) -> list[Loss | None]:
    """The loss of each side. Raises ArgumentError, ArgumentTypeError."""
    if given is None:
        return [None, None]
    live = [not isinstance(net, Trace) for net in nets]
    functions = list(given) if isinstance(given, tuple | list) else [given if alive else None for alive in live]
    if sum(live) == 2 and not isinstance(given, tuple | list):
        raise ArgumentError("loss: two networks need two functions, (of the source, of the target)")
    if len(functions) != 2 or not all(callable(f) for f, alive in zip(functions, live, strict=True) if alive):
        raise ArgumentTypeError("loss: a pair of functions, each from the output of its network to a scalar")
    for net in nets:
        if isinstance(net, Trace) and net.loss is None:
            raise ArgumentError("loss: the trace has no gradients; make it with ts.trace(..., loss=)")
    return functions


def _gradients(
    weights: WeightMap, source: Trace, tensors: LazyTensors, theirs: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Name in the target → what the gradient of the parameter should be, and what it is; None where there is none."""
    found: dict[str, tuple[Any, Any]] = {}
    for entry in weights.entries:
        known = [source.gradient_of(name) for name in entry.source]
        if all(gradient is None for gradient in known):
            continue
        arrays = [
            np.zeros(tensors.info(n).shape, np.float32) if g is None else g
            for n, g in zip(entry.source, known, strict=True)
        ]
        moved = entry.transform.apply(*arrays) if entry.transform else arrays
        for name, expected in zip(entry.target, moved, strict=True):
            got = theirs.get(name)
            found[name] = expected, None if got is None else np.array(to_numpy(got))
    return found


def _last_before(found: Found, runs: tuple[Run, Run], pairs: dict[int, int]) -> tuple[TracedCall, TracedCall] | None:
    """The pair that ended last before the place of a finding."""
    calls = runs[1].calls
    at = found.pair[1]
    last = None
    for number in sorted(pairs):
        call = calls[number]
        if number == 0 or (number >= at.number and not (found.output and _within(call, at, calls))):
            continue
        if _within(at, call, calls) or (found.output and call.parent != at.number and _within(call, at, calls)):
            continue
        last = number
    return None if last is None else (runs[0].calls[pairs[last]], calls[last])


def _within(call: TracedCall, outer: TracedCall, calls: Any) -> bool:
    parent = call.parent
    while parent is not None:
        if parent == outer.number:
            return True
        parent = calls[parent].parent
    return False


def _row(each: Any) -> Row:
    mine, theirs = each.pair
    return Row(mine.path, theirs.path, theirs.nth, each.inputs, each.outputs, each.noise, each.verdict)


def _whole(path: str, calls: list[TracedCall]) -> bool:
    own = [call for call in calls if call.path == path and call.cls]
    around = {call.parent for call in calls}
    return bool(path) and bool(own) and (own[0].kind is not None or own[0].number not in around)


def _side(given: object, name: str) -> object:
    """A network, or a trace."""
    if isinstance(given, Trace):
        return given
    if isinstance(given, str | os.PathLike):
        return Trace.open(given)
    if framework_of(given) is None:
        raise ArgumentTypeError(f"{name}: neither a network nor a trace: {no_plugin(given)}")
    return given


class TraceParameters(LazyTensors):
    """The parameters that a trace holds."""

    def __init__(self, trace: Trace) -> None:
        from ts_core.contract.nouns import CheckpointIndex, TensorInfo

        self._trace, self._names = trace, trace.parameters
        infos = {n: trace.index[full] for n, full in self._names.items()}
        self._index = CheckpointIndex({n: TensorInfo(n, i.shape, i.dtype, i.nbytes) for n, i in infos.items()})
        self.owners = trace.owners

    @property
    def index(self) -> Any:
        """Names, shapes and dtypes."""
        return self._index

    def read(self, name: str) -> Any:
        """One parameter."""
        return self._trace.read(self._names[name])


def _owners(tensors: LazyTensors) -> dict[str, tuple[str, str | None, Any]]:
    if isinstance(tensors, TraceParameters):
        return tensors.owners
    if isinstance(tensors, NetworkTensors):
        return {p.name: (p.layer, p.kind, p.role) for p in tensors.parameters}
    raise ComparisonError("a weight map without networks")


@contextlib.contextmanager
def _holding(net: object, values: dict[str, Any]) -> Iterator[None]:
    """With other parameters in a network; afterwards it has its own."""
    if not values:
        yield
        return
    tensors = NetworkTensors(net)
    before = {name: np.array(tensors[name]) for name in values}
    try:
        load_parameters(net, values, strict=False)
        yield
    finally:
        load_parameters(net, before, strict=False)


__all__ = ["anchor_paths", "as_inputs", "locate", "sure_pairs"]
