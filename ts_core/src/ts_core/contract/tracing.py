"""A run of a network as data: what goes in, each call of each layer, and who is told of them.

:class:`Inputs`, :class:`Call`, :class:`Observer` and :class:`Traced` are what ``trace_network`` speaks of. The rest is
what every plug-in would have to write for it otherwise: the book of open calls, and walks through nested values.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ts_core.contract.nouns import Layer
from ts_core.errors import ArgumentError

Place = tuple[Any, ...]
"""The indices, keys and field names that lead into nested values; ``()`` for the value itself."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a network is run on.

    Attributes:
        args: arrays, or nested lists, tuples and dicts of them; numbers, bools and None pass through.
        kwargs: the same, by keyword.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self, make: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments by position and by keyword, with ``make(array)`` in the place of each array."""

        def made(_: Place, leaf: Any) -> Any:
            return make(leaf) if isinstance(leaf, np.ndarray) else leaf

        return mapped(self.args, made), mapped(dict(self.kwargs), made)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one layer.

    Attributes:
        number: from 0, in the order in which calls begin.
        path: of the layer, ``""`` the network itself; of a layer at several places the first of them.
        parent: the number of the call inside which it happens; None for the network's own.
        layer: the framework's object; None for a ``ts.save`` inside the network, whose path is the name it was given.
    """

    number: int
    path: str
    parent: int | None
    layer: object = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NewInputs:
    """What an observer answers to the begin of a call that is to run on other inputs.

    Attributes:
        args: arrays, nested as the inputs are; None: keep.
        kwargs: the same, by keyword.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Who is told of a run. Every value is the framework's own, and may be changed in place once the method returns."""

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object | None:
        """A call begins, with these inputs.

        :class:`NewInputs` replace them, and gradients with respect to its inputs are told of the new ones, which
        nothing else uses. Any other answer that is not None is what the call returns, arrays nested as
        its output is to be: the layer and what is in it do not run. `leave` is told of it all the same.
        """

    def leave(self, call: Call, output: object) -> object | None:
        """A call ends. An answer that is not None replaces the output: arrays (None: keep), nested as the output is."""

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> object | None:
        """The gradient of the loss with respect to one tensor of a call; an array that is answered replaces it.

        Args:
            call: told before.
            side: ``"inputs"`` or ``"outputs"``.
            place: leads to the tensor: among inputs the position or the keyword comes first.
            gradient: a tensor. Of a tensor that is used elsewhere too, the part of these uses may be in it.
        """


@dataclass(frozen=True, slots=True)
class Traced:
    """That a network ran.

    Attributes:
        output: what it returned, which may be None.
        loss: what the loss made of it; None without one.
        gradients: of the parameters that take one, by path: tensors, None where the loss does not depend on it. A
            parameter at several places is called by the first.
    """

    output: object
    loss: object = None
    gradients: Mapping[str, object] = field(default_factory=dict)


class Calls:
    """The book of a run: gives calls their numbers, paths and parents, and tells the observer.

    As a context manager around the run it sees to it that an exception names the layer in which it arose.

    Args:
        layers: of the network, as ``iter_layers`` tells them.
        observer: who is told.
        instead: what goes on in place of a leaf of an output for which the observer answered a value:
            ``instead(value, leaf)``, the value an array as a rule. By default the value itself.
        watch: ``watch(leaf, told)`` is asked for each leaf of the inputs and outputs of each call, to hand the gradient
            of those that have one to ``told``. None where no gradients are wanted.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        observer: Observer,
        instead: Callable[[Any, Any], Any] = lambda value, leaf: value,
        watch: Callable[[Any, Callable[[Any], object]], object] | None = None,
    ) -> None:
        self._observer, self._instead, self._watch = observer, instead, watch
        self._first: dict[int, Layer] = {}  # by the identity of the object: a shared layer has its first place
        for layer in layers:
            self._first.setdefault(id(layer.layer), layer)
        self._open: list[tuple[Call, BaseException | None]] = []
        self._number = 0
        self._failed: tuple[BaseException, str] | None = None  # an exception on its way out, and where it arose

    @property
    def layers(self) -> list[Layer]:
        """Every layer once, at the first of its places."""
        return list(self._first.values())

    def enter(self, layer: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Call, object | None]:
        """A layer's call begins: the call, and what the observer wants it to return instead of running."""
        parent = self._open[-1][0].number if self._open else None
        call = Call(self._number, self._first[id(layer)].path, parent, layer)
        self._number += 1
        self._open.append((call, sys.exc_info()[1]))
        return call, self._observer.enter(call, args, kwargs)

    def leave(self, layer: object, output: object) -> tuple[Call | None, object | None]:
        """The innermost call ends, which is this layer's: the call, and the observer's answer.

        The call is None, and the observer is told nothing, when the layer is left by an exception that is handled now.
        """
        if not self._open or self._open[-1][0].layer is not layer:
            return None, None  # the hook of a call that never began, because an earlier hook raised
        (call, handled), problem = self._open.pop(), sys.exc_info()[1]
        if problem is not None and problem is not handled:
            self._fail(problem, call)
            return None, None
        try:
            return call, self._observer.leave(call, output)
        except Exception as problem:
            self._fail(problem, call)
            raise

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> object | None:
        """A gradient has come, None where the loss does not depend on the tensor: what the observer wants instead."""
        return None if gradient is None else self._observer.gradient(call, side, place, gradient)

    def _fail(self, problem: BaseException, call: Call) -> None:
        if self._failed is None or self._failed[0] is not problem:
            self._failed = problem, call.path

    def before(
        self, layer: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any], object | None]:
        """What a hook before the call of a layer does: tell that it begins, and watch its inputs.

        Returns:
            The inputs to go on with, and the output where the observer answered one: the layer then does not run.
        """
        call, answer = self.enter(layer, args, kwargs)
        self._watch_all(call, "inputs", [*leaves(args), *leaves(kwargs)])
        if isinstance(answer, NewInputs):
            args = replaced(args, answer.args, self._instead, call)  # type: ignore[assignment]
            kwargs = replaced(dict(kwargs), dict(answer.kwargs), self._instead, call)  # type: ignore[assignment]
            return args, kwargs, None
        return args, kwargs, None if answer is None else mapped(answer, lambda _, leaf: self._instead(leaf, None))

    def after(self, layer: object, output: Any) -> Any:
        """What a hook behind the call does, also when an exception leaves the layer: the output to go on with."""
        call, answer = self.leave(layer, output)
        if call is not None and answer is not None:
            output = replaced(output, answer, self._instead, call)
        if call is not None:
            self._watch_all(call, "outputs", leaves(output))
        return output

    def around(
        self, layer: object, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """The call itself, between the two: for a framework without hooks. A stranger to the network is not told of."""
        if id(layer) not in self._first:
            return function(*args, **kwargs)
        args, kwargs, output = self.before(layer, args, kwargs)
        try:
            output = function(*args, **kwargs) if output is None else output
        finally:
            output = self.after(layer, output)
        return output

    def _watch_all(self, call: Call, side: str, values: Iterable[tuple[Place, Any]]) -> None:
        for place, leaf in values if self._watch is not None else ():
            assert self._watch is not None
            self._watch(leaf, functools.partial(self.gradient, call, side, place))

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        """Say in an exception that leaves the network which layer it comes from."""
        if not isinstance(problem, Exception):
            return
        if self._open:
            self._fail(problem, self._open[-1][0])
        if self._failed is None or self._failed[0] is not problem:
            return  # from outside of the layers: the loss, the inputs
        path = self._failed[1]
        note = f"raised in the layer {path!r}" if path else "raised in the network itself, outside of its layers"
        if hasattr(problem, "add_note"):  # Python 3.11
            problem.add_note(note)
        else:
            raise ArgumentError(f"{type(problem).__name__}: {problem} ({note})") from problem


def leaves(value: object, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Everything in nested lists, tuples, mappings and dataclasses that is none of these, and its place."""
    inside = _inside(value)
    if inside is None:
        yield place, value
    else:
        for key, item in inside:
            yield from leaves(item, (*place, key))


def mapped(value: Any, function: Callable[[Place, Any], Any], place: Place = ()) -> Any:
    """The value with ``function(place, leaf)`` for each leaf; containers keep their type, untouched ones stay."""
    inside = _inside(value)
    if inside is None:
        return function(place, value)
    before = dict(inside)
    after = {key: mapped(item, function, (*place, key)) for key, item in before.items()}
    return value if all(after[key] is before[key] for key in before) else _rebuilt(value, after)


def replaced(output: object, answer: object, make: Callable[[Any, Any], Any], call: Call) -> object:
    """An output with the leaves that an observer answered instead: ``make(answered leaf, leaf)``; None keeps a leaf.

    Raises:
        ArgumentError: the answer is not nested as the output is.
    """

    def chosen(place: Place, leaf: Any) -> Any:
        found: Any = answer
        for key in place:
            inside = dict(_inside(found) or ())
            if found is not None and key not in inside and leaf is not None:
                raise ArgumentError(f"the value to replace the output of {call.path!r} has nothing at {place}")
            found = inside.get(key)
        return leaf if found is None else make(found, leaf)

    return mapped(output, chosen)


def _inside(value: Any) -> list[tuple[Any, Any]] | None:
    """Keys and items of a container; None for anything else."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    return None


def _rebuilt(value: Any, items: dict[Any, Any]) -> Any:
    """A container of the same type with other items."""
    if isinstance(value, tuple):
        make = getattr(value, "_make", type(value))  # of a named tuple
        return make(items.values())
    twin = copy.copy(value)
    for key, item in items.items():
        if isinstance(value, Mapping | list):
            twin[key] = item
        else:
            object.__setattr__(twin, key, item)  # a frozen dataclass too
    return twin
