"""One side of the search: a network that can be run again in parts, or the trace of one that cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ts_core.contract.tracing import Call, Inputs, NewInputs, Place, Traced, leaves, mapped
from ts_core.frameworks import from_numpy, layers_of, registry, seed_generators, to_numpy
from ts_core.running import Recorder, Slot, Store, Trace, TracedCall, array_of, observe

Array = np.ndarray[Any, np.dtype[Any]]
Key = tuple[str, int]  # the path of a layer, and how many calls of it came before
Answer = Callable[[], Any]  # makes nested arrays when they are wanted, so that not all are held at once

_RETRIES = 8  # layers of different classes that cannot run in double


class Run:
    """A side.

    Attributes:
        name: ``"source"`` or ``"target"``.
        net: the network; None when there is but a trace.
        trace: its calls and their arrays.
        called: path and number → the call.
    """

    def __init__(self, name: str, net: object | None, trace: Trace, memory: int) -> None:
        self.name, self.net, self.trace, self._memory = name, net, trace, memory
        self.calls: Sequence[TracedCall] = trace.calls
        self.called: dict[Key, TracedCall] = {(c.path, c.nth): c for c in trace.calls}
        self.layers: dict[str, object] = {} if net is None else layers_of(net)
        self._doubles: dict[str, object | None] = {}
        self.not_in_double: set[str] = set()  # classes of layers
        self.problem: Exception | None = None  # why it could not be run in parts

    def shares(self, other: Run) -> bool:
        """Whether arrays of both of the same name are the same."""
        return self.trace.shares(other.trace)

    def inputs(self, call: TracedCall) -> list[Array]:
        """The arrays that went into a call."""
        return [self.trace.read(slot) for _, slot in call.inputs]

    def outputs(self, call: TracedCall) -> list[Array]:
        """The arrays that came out of a call."""
        return [self.trace.read(slot) for _, slot in call.outputs]

    def layer(
        self,
        call: TracedCall,
        inputs: Sequence[Array],
        *,
        double: bool = False,
        seed: int | None = None,
        loss: Callable[[Any], Any] | None = None,
        told: Mapping[str, object] | None = None,
    ) -> Ran | None:
        """Run the layer of a call by itself; None when it cannot be run.

        Args:
            call: of the layer.
            inputs: arrays in place of those that went in.
            double: run a copy of it in float64.
            seed: of the random generators.
            loss: differentiate this of its output.
            told: attributes to set to other values, of the copy in float64.
        """
        layer = self.layers.get(call.path)
        if double and layer is not None:
            if call.path not in self._doubles:
                self._doubles = {call.path: _in_double(layer)}  # one at a time: each is as large as its weights
            layer = self._doubles[call.path]
        if layer is None:
            return None
        wanted = iter([_floats(array) if double else array for array in inputs])
        args, kwargs = mapped(
            (call.args, dict(call.kwargs)), lambda _, leaf: next(wanted, None) if isinstance(leaf, Slot) else leaf
        )
        observer = _Alone(layer, seed)
        before = {name: getattr(layer, name) for name in told or {}}
        try:
            _tell(layer, told or {})
            return Ran(observer, observe(layer, Inputs(args, kwargs), observer, training=None, loss=loss))
        except Exception:  # then it cannot tell, which is no fault of the networks
            return None
        finally:
            _tell(layer, before)

    def parts(
        self,
        instead: Mapping[Key, Answer],
        given: Mapping[Key, NewInputs],
        replaced: Mapping[Key, Answer],
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> Parts | None:
        """Run the network without the layers whose outputs are given; None when it cannot be run so.

        Args:
            instead: nested arrays that calls return without being run.
            given: what calls run on instead of what they get.
            replaced: nested arrays that replace what calls returned.
            double: run what is left in float64, as far as the framework can.
            seed: of the random generators.
        """
        if self.net is None:
            return None
        inputs = self.trace.inputs
        change = _in_floats if double else _as_they_are
        answers = dict(instead)
        for _ in range(_RETRIES):
            if double:
                for key, call in self.called.items():
                    if call.cls in self.not_in_double and key not in answers:
                        answers[key] = functools.partial(self.trace.value, call.output)
            seen = _Skipping(self.net, Store(self._memory), answers, given, replaced, change, seed)
            try:
                observe(self.net, Inputs(change(inputs.args), change(dict(inputs.kwargs))), seen, training=None)
                return Parts(seen)
            except Exception as problem:
                blamed = next((seen.calls[n] for n in reversed(seen.open)), None)
                if not double or blamed is None or blamed.cls in self.not_in_double or seen.open[-1] in seen.parents:
                    self.problem = problem
                    return None
                self.not_in_double.add(blamed.cls)
        return None


class Ran:
    """What a layer did by itself."""

    def __init__(self, observer: _Alone, traced: Traced) -> None:
        self.outputs: list[Array] = observer.outputs
        self.input_gradients: dict[Place, Array] = observer.gradients
        self.gradients = {path: None if g is None else np.array(to_numpy(g)) for path, g in traced.gradients.items()}


class _Alone:
    """Keeps what the outermost call returns, and the gradients of its inputs."""

    def __init__(self, layer: object, seed: int | None) -> None:
        self._layer, self._seed = layer, seed
        self.outputs: list[Array] = []
        self.gradients: dict[Place, Array] = {}

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Nothing is kept."""
        if call.number == 0 and self._seed is not None:
            seed_generators(self._seed, net=self._layer)

    def leave(self, call: Call, output: object) -> None:
        """Keep it."""
        if call.number == 0:
            found = [array_of(leaf) for _, leaf in leaves(output)]
            self.outputs = [np.array(array) for array in found if array is not None]

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> None:
        """Keep it."""
        if call.number == 0 and side == "inputs":
            self.gradients[place] = np.array(to_numpy(gradient))


class _Skipping(Recorder):
    """Records a run in which some calls are answered for."""

    def __init__(
        self,
        net: object,
        store: Store,
        instead: Mapping[Key, Answer],
        given: Mapping[Key, NewInputs],
        replaced: Mapping[Key, Answer],
        change: Callable[[Any], Any],
        seed: int | None,
    ) -> None:
        super().__init__(net, store)
        self.store, self._instead, self._given, self._replaced = store, instead, given, replaced
        self._change, self.values_alone = change, True
        self.open: list[int] = []
        self.parents: set[int | None] = set()
        if seed is not None:
            self.begin = lambda net: seed_generators(seed, net=net)

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object | None:
        """Note a call, and answer for it."""
        super().enter(call, args, kwargs)
        self.open.append(call.number)
        self.parents.add(call.parent)
        key = call.path, self.calls[call.number].nth
        if key in self._instead:
            return self._change(self._instead[key]())  # type: ignore[no-any-return]
        return self._change(self._given[key]) if key in self._given else None

    def leave(self, call: Call, output: object) -> object | None:
        """Note what it returns, and replace it."""
        super().leave(call, output)
        while self.open and self.open.pop() != call.number:
            pass
        key = call.path, self.calls[call.number].nth
        return self._change(self._replaced[key]()) if key in self._replaced else None


class Parts:
    """What came by in a run without some layers."""

    def __init__(self, seen: _Skipping) -> None:
        self._store = seen.store
        self.called: dict[Key, TracedCall] = {(c.path, c.nth): c for c in seen.calls}

    def inputs(self, key: Key) -> list[Array] | None:
        """What went into a call; None when it did not come by."""
        call = self.called.get(key)
        return None if call is None else [self._store.get(slot) for _, slot in call.inputs]

    def outputs(self, key: Key) -> list[Array] | None:
        """What came out of it."""
        call = self.called.get(key)
        return None if call is None else [self._store.get(slot) for _, slot in call.outputs]


def _tell(layer: object, told: Mapping[str, object]) -> None:
    for name, value in told.items():
        setattr(layer, name, value)


def _in_double(layer: object) -> object | None:
    try:
        copied: object | None = registry().first("in_double", layer, layer=layer)
    except Exception:  # what cannot be copied is not run in double
        return None
    return copied


def _floats(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind in "fV" else array


def _as_they_are(value: Any) -> Any:
    return value


def _in_floats(value: Any) -> Any:
    if isinstance(value, NewInputs):
        return NewInputs(_in_floats(value.args), _in_floats(dict(value.kwargs)))
    return mapped(value, lambda _, leaf: _floats(leaf) if isinstance(leaf, np.ndarray) else leaf)


def product_with(arrays: Sequence[Array], framework: str) -> Callable[[Any], Any]:
    """A loss whose gradients by the outputs are these arrays."""

    def loss(output: Any) -> Any:
        tensors = [leaf for _, leaf in leaves(output) if array_of(leaf) is not None]
        sums = [
            (tensor * from_numpy(array, framework)).sum()
            for tensor, array in zip(tensors, arrays, strict=False)
            if array is not None
        ]
        return sum(sums[1:], sums[0])

    return loss


def within(call: TracedCall, outer: TracedCall, calls: Sequence[TracedCall]) -> bool:
    """Whether a call happens inside another."""
    parent = call.parent
    while parent is not None:
        if parent == outer.number:
            return True
        parent = calls[parent].parent
    return False
