"""A run as data: every call of every layer, with lazy arrays; in memory, or in a file that needs no framework."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.checkpoints import Checkpoint, open_checkpoint, write_checkpoint
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.contract.tracing import Inputs, Place, leaves, mapped
from ts_core.errors import CheckpointError
from ts_core.running._store import Store

Array = np.ndarray[Any, np.dtype[Any]]

NETWORK = "(network)"  # what the names of arrays have in place of the empty path
PARAMETER, GRADIENT = "parameters.", "gradients."  # what the names of these begin with
_KEY, _VERSION = "ts_trace", 1


class Slot(str):
    """A place among nested values where an array is: its name in the trace."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source code.

    Attributes:
        file: its path, as Python knows it.
        number: from 1.
        function: in which it stands.
        text: the line.
    """

    file: str
    number: int
    function: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One call of one layer.

    Attributes:
        number: from 0, in the order in which calls begin.
        path: of the layer; of a ``ts.save`` inside the network its name.
        nth: how many calls of this path came before.
        parent: the number of the call inside which it happens.
        kind: what the layer is, in canonical terms; None when no rule knows it.
        cls: the name of its class; empty for a ``ts.save``.
        training: its mode; None for a layer that has none.
        args: its inputs: nested values with a :class:`Slot` for each array.
        kwargs: those by keyword.
        output: what it returned, the same way.
        callers: the lines from which it was called, the innermost first; not those in code of a framework.
        gradients: side and place → the slot of the gradient.
    """

    number: int
    path: str
    nth: int
    parent: int | None
    kind: str | None
    cls: str
    training: bool | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any = None
    callers: tuple[Line, ...] = ()
    gradients: Mapping[tuple[str, Place], Slot] = field(default_factory=dict)

    @property
    def inputs(self) -> list[tuple[Place, Slot]]:
        """Places and names of the arrays that went in."""
        return [(p, leaf) for p, leaf in [*leaves(self.args), *leaves(dict(self.kwargs))] if isinstance(leaf, Slot)]

    @property
    def outputs(self) -> list[tuple[Place, Slot]]:
        """Places and names of the arrays that came out."""
        return [(p, leaf) for p, leaf in leaves(self.output) if isinstance(leaf, Slot)]


class Trace(LazyTensors):
    """A run of a network: its calls, and every array by name, read when it is asked for.

    An array is called ``<path>:<number of the call>:inputs.<place>``, so for ``outputs``, with ``:gradient`` behind it
    for its gradient. Of arrays with the same bits there is one, under the name of the first; the calls know which that
    is (``trace.calls[3].outputs``), and what the network returned is :attr:`output`. Parameters are
    ``parameters.<name>``, their gradients ``gradients.<name>``.

    Attributes:
        calls: every call, in the order in which they begin.
        framework: of the network.
        network: the class of the network.
        settings: path → canonical setting → its value, of the layers that were called.
        owners: name of a parameter → the path of its layer, its kind and its role there.
        gradients: name of a parameter → the name of its gradient.
        loss: the value of the loss, if there was one.
        seed: with which it ran.
    """

    def __init__(
        self,
        calls: Sequence[TracedCall],
        arrays: Store | Checkpoint,
        parameters: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> None:
        self.calls = tuple(calls)
        self._arrays, self._parameters = arrays, parameters
        self.framework: str = facts["framework"]
        self.network: str = facts["network"]
        self.settings: dict[str, dict[str, Any]] = facts["settings"]
        self.owners: dict[str, tuple[str, str | None, Any]] = facts["owners"]
        self.gradients: dict[str, str] = facts["gradients"]
        self.loss: float | None = facts["loss"]
        self.seed: int | None = facts["seed"]
        self._index: CheckpointIndex | None = arrays.index if isinstance(arrays, Checkpoint) else None

    @property
    def index(self) -> CheckpointIndex:
        """Names, shapes and dtypes of all arrays."""
        if self._index is None:
            assert isinstance(self._arrays, Store)
            infos = {n: TensorInfo(n, s, d, prod(s) * d.itemsize) for n, (s, d) in self._arrays.names.items()}
            own = {PARAMETER + n: p for n, p in self._parameters.items()}
            infos |= {n: TensorInfo(n, p.shape, p.dtype, prod(p.shape) * p.dtype.itemsize) for n, p in own.items()}
            self._index = CheckpointIndex(infos)
        return self._index

    def read(self, name: str) -> Array:
        """One array."""
        if isinstance(self._arrays, Checkpoint):
            return self._arrays[name]
        if name.startswith(PARAMETER):
            return np.asarray(self._parameters[name.removeprefix(PARAMETER)])
        return self._arrays.get(name)

    def shapes(self) -> dict[int, list[tuple[int, ...]]]:
        """Number of a call → the shapes of its outputs."""
        return {call.number: [self.index[slot].shape for _, slot in call.outputs] for call in self.calls}

    def shares(self, other: Trace) -> bool:
        """Whether two runs keep their arrays in one store, so that an array of both has one name."""
        return self._arrays is other._arrays

    def value(self, nested: Any) -> Any:
        """Nested values with their arrays in place of slots."""
        return mapped(nested, lambda _, leaf: self.read(leaf) if isinstance(leaf, Slot) else leaf)

    @property
    def inputs(self) -> Inputs:
        """What the network was run on."""
        first = self.calls[0]
        return Inputs(self.value(first.args), self.value(dict(first.kwargs)))

    @property
    def output(self) -> Any:
        """What the network returned, with arrays."""
        return self.value(self.calls[0].output)

    @property
    def parameters(self) -> dict[str, str]:
        """Name of a parameter → the name of its array."""
        return {name.removeprefix(PARAMETER): name for name in self.index if name.startswith(PARAMETER)}

    def gradient_of(self, name: str) -> Array | None:
        """The gradient of a parameter; None when it has none."""
        return self.read(self.gradients[name]) if name in self.gradients else None

    def close(self) -> None:
        """Let go of files."""
        self._arrays.close()

    def __repr__(self) -> str:
        return f"<Trace of {self.network} ({self.framework}): {len(self.calls)} calls, {len(self)} arrays>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace into a file, whole or not at all: a safetensors file whose metadata tells of the calls.

        Raises:
            CheckpointWriteError: no room, no permission.
            UnsupportedDtypeError: an array has a dtype that the format cannot hold.
        """
        facts = {
            name: getattr(self, name)
            for name in ("framework", "network", "settings", "owners", "gradients", "loss", "seed")
        }
        text = json.dumps({"version": _VERSION, **facts, "calls": [_call_as_json(call) for call in self.calls]})
        write_checkpoint(self, Path(path), format="safetensors", metadata={_KEY: text})

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a trace from a file; arrays are read when they are asked for, and no framework is needed.

        Raises:
            CheckpointNotFoundError: there is no such file.
            CheckpointError: it is damaged, or holds no trace.
        """
        file = open_checkpoint(path)
        try:
            found = file.metadata.get(_KEY)
            if not isinstance(found, str):
                raise CheckpointError(f"{path}: no trace but a checkpoint; ts.trace(net, inputs, file) writes traces")
            facts = json.loads(found)
            if facts["version"] != _VERSION:
                raise CheckpointError(f"{path}: a trace of version {facts['version']}; this reads {_VERSION}")
            calls = [_call_from_json(call) for call in facts["calls"]]
            facts["owners"] = {name: tuple(owner) for name, owner in facts["owners"].items()}
            trace = cls(calls, file, {}, facts)
            slots = {slot for call in calls for _, slot in (*call.inputs, *call.outputs)}
            missing = next((slot for slot in slots if slot not in file), None)
            if missing is not None or not calls:
                raise CheckpointError(f"{path}: a damaged trace: it lacks {missing or 'every call'}")
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
            file.close()
            if isinstance(problem, CheckpointError):
                raise
            raise CheckpointError(f"{path}: a damaged trace: {type(problem).__name__}: {problem}") from problem
        return trace


def is_trace(source: object) -> bool:
    """Whether it is a trace, or the path of one."""
    return isinstance(source, Trace | str | os.PathLike)


class Numbering:
    """Counts the calls of each path."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def next(self, path: str) -> int:
        """How many calls of it came before."""
        self._seen[path] += 1
        return self._seen[path] - 1


def slot_name(path: str, nth: int, side: str, place: Place) -> str:
    """What the array at a place of a call is called."""
    return ".".join([f"{path or NETWORK}:{nth}:{side}", *map(str, place)])


def _call_as_json(call: TracedCall) -> dict[str, Any]:
    plain = {n: getattr(call, n) for n in ("number", "path", "nth", "parent", "kind", "cls", "training")}
    return {
        **plain,
        "args": _encoded(call.args),
        "kwargs": _encoded(dict(call.kwargs)),
        "output": _encoded(call.output),
        "callers": [asdict(line) for line in call.callers],
        "gradients": [[side, list(place), slot] for (side, place), slot in call.gradients.items()],
    }


def _call_from_json(given: dict[str, Any]) -> TracedCall:
    callers = tuple(Line(**line) for line in given.pop("callers"))
    gradients = {(side, tuple(place)): Slot(slot) for side, place, slot in given.pop("gradients")}
    nested = {name: _decoded(given.pop(name)) for name in ("args", "kwargs", "output")}
    return TracedCall(**given, **nested, callers=callers, gradients=gradients)


def _encoded(value: Any) -> Any:
    if isinstance(value, Slot):
        return {"array": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value if value == value and value not in (float("inf"), -float("inf")) else {"float": str(value)}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_encoded(item) for item in value]}
    items = list(_items(value))
    if items or isinstance(value, Mapping):
        return {"dict": [[key, _encoded(item)] for key, item in items]}
    return {"object": repr(value)[:200]}


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Keys and items of a mapping or a dataclass."""
    if isinstance(value, Mapping):
        yield from value.items()
    else:
        found: dict[Any, Any] = {}
        mapped(value, lambda place, leaf: found.setdefault(place, leaf))
        fields = dict.fromkeys(place[0] for place in found if place)
        yield from ((name, getattr(value, name)) for name in fields)


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((what, content),) = value.items()
    if what == "array":
        return Slot(content)
    if what in ("list", "tuple"):
        items = [_decoded(item) for item in content]
        return tuple(items) if what == "tuple" else items
    if what == "dict":
        return {key: _decoded(item) for key, item in content}
    return float(content) if what == "float" else None
