"""Tests of traces: every call of every layer is told, in order, and nothing of it stays behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ts_core.contract.tracing import Call, Inputs, Place, Traced, leaves, mapped
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._cases import LayerCase, TraceCase
from ts_core.testing._suite._promises import promise, same, slope, told, unchanged
from ts_core.testing.reference import DEFINITIONS

Array = np.ndarray[Any, np.dtype[Any]]
Answer = Callable[[Call, object], object]

_STEP = 1e-2  # of differences
_POSITIONS = 4  # of each array whose gradient is checked


class TraceTests(Suite):
    """A run as it is: calls, values, gradients; afterwards the network is as before."""

    def test_trace_calls(self, trace_case: TraceCase) -> None:
        """Every call of every layer is told in the order in which calls begin, with its path and parent."""
        seen, _, problem = self._traced(trace_case, trace_case.make())
        self._expected(trace_case, seen, problem)
        ended = trace_case.fails is not None or not seen.open
        promise(ended, "leave is told for every call that ends", f"{seen.open} never ended")

    def test_trace_layers(self, trace_case: TraceCase) -> None:
        """A call names the layer of the network itself, by the first of its places."""
        net = trace_case.make()
        seen, _, _ = self._traced(trace_case, net)
        layers = {layer.path: layer.layer for layer in self.hook("iter_layers")(net)}
        first = {id(layer): path for path, layer in reversed(layers.items())}
        for call in seen.calls:
            own = call.path in layers and layers[call.path] is call.layer
            promise(own, "Call.layer is the layer that iter_layers has at Call.path", f"{call}")
            text = "a layer at several places is called by the first path of iter_layers"
            promise(first[id(call.layer)] == call.path, text, f"{call.path!r} instead of {first[id(call.layer)]!r}")

    def test_trace_values(self, trace_case: TraceCase) -> None:
        """The network gets the inputs as tensors; what it returned is in Traced and what its own call ended with."""
        seen, traced, problem = self._traced(trace_case, trace_case.make())
        if trace_case.fails is not None:
            return
        promise(isinstance(traced, Traced), "trace_network answers a Traced with what the network returned", problem)
        given = (trace_case.inputs.args, dict(trace_case.inputs.kwargs))
        text = "the network gets the inputs, arrays as tensors, nested as they were"
        self._equal(seen.inputs[0], given, text)
        assert traced is not None
        text = "the call of the network itself ends with what the network returned"
        self._equal(seen.outputs[0], seen.copied(traced.output), text)

    def test_trace_computes(self) -> None:
        """A traced layer computes what it always computes."""
        self.need("trace", "trace_network")
        for case in self.layers():
            if case.kind == "linear" and case.runs:
                return self._computes(case)
        return promise(False, "layers() has a linear layer that runs")

    def _computes(self, case: LayerCase) -> None:
        layer, _ = self.filled(case.make())
        x = np.random.default_rng(3).standard_normal(DEFINITIONS["linear"].inputs[0]).astype(np.float32)
        seen, _, problem = self._traced(TraceCase(lambda: layer, Inputs((x,)), ()), layer)
        promise(bool(seen.calls), "trace_network runs a layer that is itself the network", problem)
        expected = self.run("linear", layer, x)
        text = "a traced layer computes what it computes without"
        got = seen.outputs.get(0)
        promise(isinstance(got, np.ndarray) and np.allclose(got, expected, atol=1e-5), text, f"{got}, not {expected}")

    def test_trace_leaves_nothing_behind(self, trace_case: TraceCase) -> None:
        """Modes, hooks, parameters and their gradients are as before: after a run, and after an exception."""
        for training in (False, True):
            for loss in (None,) if "trace gradients" in self.absent else (None, self.trace_loss):
                for fault in (False, True):
                    net = trace_case.make()
                    self._mix_modes(net)
                    before, values = self.state(net), self.values(net)
                    self._traced(trace_case, net, _fail if fault else None, training, loss)
                    after = self.state(net)
                    changed = {
                        place: f"{before.get(place)!r}, then {after.get(place)!r}"
                        for place in (before | after)
                        if before.get(place) != after.get(place)
                    }
                    when = "an exception of the observer" if fault else "a run"
                    text = f"modes, hooks and flags are as before after {when} (training={training}): undo in `finally`"
                    promise(not changed, text, "; ".join(f"{place}: {change}" for place, change in changed.items()))
                    unchanged(self.values(net), values, f"parameters and buffers are as before after {when}")

    def test_trace_replaces(self, trace_case: TraceCase) -> None:
        """An answer of the observer, arrays nested as the output is, goes on in place of the output of any call."""
        if trace_case.fails is not None:
            return
        net = trace_case.make()
        seen, _, _ = self._traced(trace_case, net)
        for call in seen.calls:

            def other(now: Call, output: object, number: int = call.number) -> object:
                return mapped(output, lambda _, leaf: _moved(leaf)) if now.number == number else None

            again, traced, problem = self._traced(trace_case, net, other)
            text = "what the observer answers to `leave` replaces the output of the call"
            promise(traced is not None, text, f"{call}: {problem}")
            assert traced is not None
            returned = again.copied(traced.output)
            if call.number == 0:
                self._equal(returned, mapped(seen.outputs[0], lambda _, leaf: _moved(leaf)), text)
            differs = not _same_arrays(returned, seen.outputs[0])
            promise(differs, text, f"{call}: the network returned what it returns without the answer")

    def test_trace_training(self) -> None:
        """`training` decides how the network runs: a batch norm, or dropout, then computes something else."""
        self.need("trace", "trace_network")
        differ = False
        for case in self.trace_nets():
            if case.fails is None:
                net = case.make()
                one, _, _ = self._traced(case, net)
                other, _, problem = self._traced(case, net, training=True)
                self._expected(case, other, problem)
                differ = differ or not _same_arrays(one.outputs.get(0), other.outputs.get(0))
        promise(differ, "a network of trace_nets returns something else with training=True", "none does")

    def test_trace_gradients(self, trace_case: TraceCase) -> None:
        """With a loss, the gradients by the outputs of each call and by the network's inputs are its derivatives."""
        self.need("trace gradients")
        if trace_case.fails is not None:
            return
        net = trace_case.make()
        seen, _, problem = self._traced(trace_case, net, loss=self.trace_loss)
        self._expected(trace_case, seen, problem)
        for call in seen.calls:
            for place, array in _arrays(seen.outputs[call.number]):

                def at(moved: Array, number: int = call.number, where: Place = place) -> float:
                    def answer(now: Call, output: object) -> object:
                        if now.number != number:
                            return None
                        return mapped(output, lambda p, _: moved if p == where else None)

                    return self._loss_of(trace_case, net, answer)

                gradients = seen.gradients.get((call.number, "outputs", place), [])
                self._derivative(f"output {list(place)} of call {call.number} ({call.path!r})", gradients, array, at)
        given = (trace_case.inputs.args, dict(trace_case.inputs.kwargs))
        for side_and_place, array in _arrays(given):

            def of(moved: Array, where: Place = side_and_place) -> float:
                args, kwargs = mapped(given, lambda p, leaf: moved if p == where else leaf)
                return self._loss_of(TraceCase(trace_case.make, Inputs(args, kwargs), ()), net)

            place = side_and_place[1:]
            gradients = seen.gradients.get((0, "inputs", place), [])
            self._derivative(f"input {list(place)} of the network", gradients, array, of)

    def test_trace_nets_show_the_features(self) -> None:
        """The networks show nesting, a layer called twice, tuples and dicts as outputs, a keyword, and a failure."""
        self.need("trace", "trace_network")
        cases = list(self.trace_nets())
        promise(bool(cases), "trace_nets() has networks, or `trace` is declared absent with a reason")
        runs = [(case, self._traced(case, case.make())[0]) for case in cases]
        outputs = [output for _, seen in runs for output in seen.outputs.values()]
        paths = [[path for path, _ in case.calls] for case in cases]
        for shown, text in (
            (any(parent for case in cases for _, parent in case.calls), "a layer that is called inside another one"),
            (any(len(set(each)) < len(each) for each in paths), "a layer that is called twice"),
            (any(isinstance(output, tuple | list) for output in outputs), "a layer that returns a tuple"),
            (any(isinstance(output, Mapping) for output in outputs), "a layer that returns a dict"),
            (any(case.inputs.kwargs for case in cases), "an input by keyword"),
            (any(case.fails is not None for case in cases), "a layer that raises"),
        ):
            promise(shown, f"one network of trace_nets has {text}")

    # Helpers

    def _traced(
        self,
        case: TraceCase,
        net: object,
        answer: Answer | None = None,
        training: bool = False,
        loss: Callable[[Any], Any] | None = None,
    ) -> tuple[_Recorder, Traced | None, str]:
        """What was told, what was answered, and the exception that came out, with its notes."""
        self.need("trace", "trace_network")
        seen, traced, problem = _Recorder(self.hook("tensor_to_numpy"), answer), None, ""
        try:
            traced = self.hook("trace_network")(net, case.inputs, seen, training, loss)
        except Exception as raised:
            problem = "; ".join([told(raised), *getattr(raised, "__notes__", ())])
        return seen, traced, problem

    def _expected(self, case: TraceCase, seen: _Recorder, problem: str) -> None:
        if case.fails is None:
            promise(not problem, "trace_network runs the network", problem)
        expected = [(number, *call) for number, call in enumerate(case.calls)]
        found = [(call.number, call.path, call.parent) for call in seen.calls]
        text = "every call is told once, in the order in which calls begin: number, path, number of the call around it"
        promise(found == expected, text, f"{found} instead of {expected}; raised: {problem or 'nothing'}")
        if case.fails is not None:
            promise(bool(problem), "an exception inside the network comes out", f"{case.fails!r} raised nothing")
            text = "an exception inside the network names the path of the layer, in a note or in its message"
            promise(repr(case.fails) in problem, text, f"{case.fails!r} is not in {problem!r}")

    def _mix_modes(self, net: object) -> None:
        """Let the last layer have another mode than the rest, as a frozen batch norm has."""
        layer: Any = (self.hook("iter_layers")(net) or [None])[-1].layer
        if isinstance(getattr(layer, "training", None), bool):
            layer.training = not layer.training

    def _loss_of(self, case: TraceCase, net: object, answer: Answer | None = None) -> float:
        _, traced, problem = self._traced(case, net, answer)
        promise(traced is not None, "trace_network runs the network", problem)
        assert traced is not None
        return float(self.hook("tensor_to_numpy")(self.trace_loss(traced.output)))

    def _derivative(self, of: str, gradients: list[Array], array: Array, loss: Callable[[Array], float]) -> None:
        promise(len(gradients) < 2, f"the gradient by the {of} is told once", f"{len(gradients)} times")
        gradient = gradients[0] if gradients else np.zeros(array.shape)  # what the loss doesn't depend on has none
        text = f"the gradient by the {of} is the derivative of the loss by it"
        promise(gradient.shape == array.shape, text, f"shape {gradient.shape} instead of {array.shape}")
        for flat in np.unique(np.linspace(0, array.size - 1, _POSITIONS).astype(int)) if array.size else ():
            position = tuple(int(index) for index in np.unravel_index(flat, array.shape))
            numeric, rounding = slope(loss, array, position, _STEP)
            near = np.isclose(gradient[position], numeric, rtol=0.05, atol=0.02 + rounding)
            promise(bool(near), text, f"at {list(position)}: {gradient[position]} instead of {numeric}")

    def _equal(self, one: object, other: object, text: str) -> None:
        left, right = list(leaves(one)), list(leaves(other))
        places = [place for place, _ in left], [place for place, _ in right]
        promise(places[0] == places[1], text, f"values at {places[0]} instead of {places[1]}")
        for (place, a), (_, b) in zip(left, right, strict=True):
            if isinstance(b, np.ndarray):
                same(a, b, f"{text}, at {list(place)}")
            else:
                promise(a == b, text, f"{a!r} instead of {b!r}")


class _Recorder:
    """An observer that keeps copies of everything, and answers what it is told to answer."""

    def __init__(self, to_numpy: Callable[[object], Array | None], answer: Answer | None) -> None:
        self._to_numpy, self._answer = to_numpy, answer
        self.calls: list[Call] = []
        self.open: list[int] = []
        self.inputs: dict[int, Any] = {}
        self.outputs: dict[int, Any] = {}
        self.gradients: dict[tuple[int, str, Place], list[Array]] = {}

    def copied(self, values: object) -> Any:
        def copy(_: Place, leaf: object) -> object:
            array = self._to_numpy(leaf)
            return leaf if array is None else array.copy()

        return mapped(values, copy)

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.calls.append(call)
        self.open.append(call.number)
        self.inputs[call.number] = self.copied((args, dict(kwargs)))

    def leave(self, call: Call, output: object) -> object | None:
        inner = self.open.pop() if self.open else None
        promise(inner == call.number, "the call that ends is the last one that began", f"{call} ended within {inner}")
        self.outputs[call.number] = self.copied(output)
        return self._answer(call, self.outputs[call.number]) if self._answer else None

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> None:
        promise(side in ("inputs", "outputs"), "the side of a gradient is inputs or outputs", f"{side!r}")
        array = self._to_numpy(gradient)
        promise(array is not None, "a gradient is a tensor of the framework", f"{type(gradient)}")
        self.gradients.setdefault((call.number, side, tuple(place)), []).append(np.array(array))


def _fail(call: Call, output: object) -> object:
    raise ValueError("the observer failed")


def _arrays(values: object) -> list[tuple[Place, Array]]:
    """The arrays of numbers that can have a gradient, and their places."""
    return [(p, leaf) for p, leaf in leaves(values) if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"]


def _moved(leaf: object) -> object:
    return leaf + np.ones_like(leaf) if isinstance(leaf, np.ndarray) else None


def _same_arrays(one: object, other: object) -> bool:
    arrays = [[leaf for _, leaf in leaves(each) if isinstance(leaf, np.ndarray)] for each in (one, other)]
    return len(arrays[0]) == len(arrays[1]) and all(map(np.array_equal, *arrays))
