"""The whole search: weights, forward, loss, backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ts_core.contract.readers import LazyTensors
from ts_core.errors import ComparisonError
from ts_core.location._backward import Backward, loss_finding
from ts_core.location._forward import Forward
from ts_core.location._injecting import Injecting
from ts_core.location._nouns import Finding, Row
from ts_core.location._pairs import layer_pairs, likely_pairs, side_of, whole_layers
from ts_core.location._report import LocateReport
from ts_core.location._runs import Run
from ts_core.location._sides import (
    Loss,
    frozen_in,
    gradients_side_by_side,
    holding,
    owners_of,
    recorded,
    tensors_of,
)
from ts_core.location._telling import backward_finding, forward_finding, row
from ts_core.location._traces import parted
from ts_core.location._weights import weight_findings
from ts_core.mapping import WeightMap
from ts_core.mapping import weight_map as make_map
from ts_core.running import Store, Trace


@dataclass
class Search:
    """One search.

    Attributes:
        source: a network, or a trace of one.
        target: a network; a trace only if `source` is one as well.
        run: the run of the source.
        inputs: of the target, where they are not those of the source.
        losses: of both sides, or None.
        weights: the map, if it was given.
        tolerance: a relative and an absolute one instead of measured noise.
        memory: bytes of arrays that are held.
        store: has the arrays of the runs.
        begin: called inside each run, at its begin.
        seed: of the runs.
    """

    source: object
    target: object
    run: Trace
    inputs: object
    losses: list[Loss | None]
    weights: WeightMap | None
    tolerance: tuple[float, float] | None
    memory: int
    store: Store
    begin: Callable[[object], None]
    seed: int | None

    def report(self) -> LocateReport:
        """Weights first, then what runs with the right ones."""
        self.notes: list[str] = []
        self.tensors: tuple[LazyTensors, LazyTensors] = (
            tensors_of(self.source if not isinstance(self.source, Trace) else self.run),
            tensors_of(self.target),
        )
        owners = owners_of(self.tensors[0]), owners_of(self.tensors[1])
        weights = self._weight_map()
        findings, right = weight_findings(weights, *self.tensors, owners)
        layers = layer_pairs(weights, *({name: owner[0] for name, owner in each.items()} for each in owners))
        if isinstance(self.target, Trace):
            found, rows = parted(self.run, self.target, layers, self.tolerance)
            self.notes.append(
                "two traces cannot be run again: only the first place is told, noise is assumed instead of measured, "
                "and nothing was tried; with one of the networks (ts.locate(trace, net)) every place is told"
            )
            return LocateReport([*findings, *found], rows, self.notes)
        with holding(self.target, right) as target:
            found, rows = self._runs(target, layers, weights)
        if findings and right:
            self.notes.append("the runs were made with the source's values of these parameters")
        return LocateReport([*findings, *found], rows, self.notes)

    def _weight_map(self) -> WeightMap:
        if self.weights is not None:
            return self.weights
        if not all(map(len, self.tensors)):
            return WeightMap(())
        return make_map(*self.tensors)

    @property
    def _given(self) -> object:
        return self.run.inputs if self.inputs is None else self.inputs

    def _runs(self, net: object, layers: Mapping[str, str], weights: WeightMap) -> tuple[list[Finding], list[Row]]:
        anchors = whole_layers(layers, self.run.calls)
        injecting = Injecting(net, self.store, self.run, anchors)
        recorded(net, self._given, injecting, None, self.begin)
        trace = injecting.trace(self.seed)
        sure = {b: a.number for b, a in injecting.partners.items()}
        sides = side_of(self.run.calls, anchors.values()), side_of(trace.calls, anchors)
        likely = likely_pairs(sure, *sides, (self.run.shapes(), trace.shapes()))
        self._require_something(sure, likely, trace)
        alive = None if isinstance(self.source, Trace) else self.source
        runs = Run("source", alive, self.run, self.memory), Run("target", net, trace, self.memory)
        pairs = {**likely, **sure}
        forward = Forward(*runs, sure, likely, self.tolerance)
        found = [forward_finding(each, runs, pairs) for each in forward.found]
        if self.losses[1] is not None:
            kept = {b: a for b, a in pairs.items() if b not in forward.own}
            found += self._backward(net, runs, anchors, sure, kept, weights)
        if forward.random:
            names = ", ".join(dict.fromkeys(forward.random))
            self.notes.append(f"random, so the source's values went on in its place, and it was not compared: {names}")
        if forward.blind:
            names = ", ".join(sorted(path or "the output of the network" for path in forward.blind))
            self.notes.append(f"the code between layers is random, and nothing can be said of what goes into: {names}")
        if alive is None:
            self.notes.append("the source is a trace: its noise is not measured but assumed to be that of the target")
        return found, [row(each) for _, each in sorted(forward.judged.items())]

    def _require_something(self, sure: Mapping[int, int], likely: Mapping[int, int], trace: Trace) -> None:
        if not sure and len(likely) < 2 and len(trace.calls) > 1 and len(self.run.calls) > 1:
            raise ComparisonError(
                "the two networks have no call in common: no layer with parameters belongs to one of the other by the "
                "weight map, and no other has the same name, kind and shape; are they the same network? "
                "weight_map= says which layers belong together"
            )

    def _backward(
        self,
        net: object,
        runs: tuple[Run, Run],
        anchors: Mapping[str, str],
        sure: Mapping[int, int],
        pairs: Mapping[int, int],
        weights: WeightMap,
    ) -> list[Finding]:
        injecting = Injecting(net, Store(self.memory), self.run, anchors, pairs)
        traced = recorded(net, self._given, injecting, self.losses[1], self.begin)
        trace = injecting.trace(self.seed)
        wrong = loss_finding(self.run, trace)
        gradients = gradients_side_by_side(weights, self.run, self.tensors, traced.gradients)
        target = Run("target", net, trace, self.memory)
        owners = owners_of(self.tensors[1])
        search = Backward(runs[0], target, pairs, sure, gradients, owners, frozen_in(self.tensors[1]))
        found = [backward_finding(each, (runs[0], target)) for each in search.found]
        return found if wrong is None else [wrong, *found]
