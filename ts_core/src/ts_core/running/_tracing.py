"""A network run once, its calls told to an observer; what ``ts.save`` saves inside it is a call among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ts_core.capture import probe
from ts_core.contract.tracing import Call, Inputs, Observer, Place, Traced, mapped
from ts_core.errors import ArgumentError, PluginError
from ts_core.frameworks import framework_of, no_plugin, registry, to_numpy

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def as_inputs(given: object) -> Inputs:
    """Inputs of a network, from one input, a tuple or list of them, or a dict of keyword arguments.

    Tensors of any framework in it become arrays.

    Raises:
        ArgumentError: a dict has a key that is no str, and so names no argument.
        NoPluginError: something in it is neither an array, nor a tensor, nor a plain value.
    """
    if not isinstance(given, Inputs):
        if isinstance(given, Mapping):
            given = Inputs(kwargs=given)
        elif isinstance(given, tuple | list) and not hasattr(given, "_fields"):  # a named tuple is one input
            given = Inputs(tuple(given))
        else:
            given = Inputs((given,))
    wrong = [key for key in given.kwargs if not isinstance(key, str)]
    if wrong:
        raise ArgumentError(f"inputs: {wrong[0]!r} names no argument; a network that takes a dict gets it in a tuple")
    args, kwargs = (mapped(value, _array) for value in (given.args, dict(given.kwargs)))
    return Inputs(args, kwargs)


def _array(_: Place, leaf: object) -> object:
    return leaf if isinstance(leaf, _PLAIN) else to_numpy(leaf)


def observe(
    net: object,
    inputs: object,
    observer: Observer,
    training: bool | None = False,
    loss: Callable[[Any], Any] | None = None,
) -> Traced:
    """Run a network once; the observer is told of every call of every layer, in order.

    The network is left as it was: modes, hooks, parameters and their gradients, buffers, random states.

    Args:
        net: a network of a framework that has a plug-in.
        inputs: what :func:`as_inputs` takes.
        observer: told of the calls; what it answers to the end of one replaces its output. Values may be changed in
            place afterwards: it copies or reduces them at once.
        training: run in training mode instead of evaluation mode; None: each layer in its own mode.
        loss: makes a scalar tensor of what the network returns. With it the backward pass runs as well, and the
            gradients with respect to each call's inputs and outputs are told.

    Returns:
        What the network returned, and with a loss its value and the gradients of the parameters.

    Raises:
        NoPluginError: no plug-in recognises the network.
        ArgumentError: its plug-in runs no networks; the inputs are none.
        PluginError: its plug-in does not keep the contract.
        Whatever the network raises, with a note that names the layer.
    """
    numbered = _Numbered(observer)
    before = probe.set(numbered.save)
    try:
        plugin, result = registry().first_with_plugin(
            "trace_network", net, net=net, inputs=as_inputs(inputs), observer=numbered, training=training, loss=loss
        )
    finally:
        probe.reset(before)
    if result is None:
        if framework_of(net) is None:
            raise no_plugin(net)
        raise ArgumentError(f"the plug-in of {type(net).__name__} does not run networks")
    if not isinstance(result, Traced):
        raise PluginError(f"the plug-in {plugin!r}: trace_network answered {result!r:.200}, not a Traced")
    if numbered.told == 0:
        raise PluginError(f"the plug-in {plugin!r}: trace_network told of no call")
    return result


class _Numbered:
    """Passes on what a plug-in tells, with numbers that also count what ``ts.save`` saves meanwhile."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._calls: dict[int, Call] = {}  # by the plug-in's number
        self._open: list[Call] = []
        self.told = 0

    def _begin(self, path: str, parent: int | None, layer: object) -> Call:
        self.told += 1
        return Call(self.told - 1, path, parent, layer)

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object | None:
        parent = None if call.parent is None else self._calls[call.parent].number
        while self._open and self._open[-1].number != parent:
            self._open.pop()  # left by an exception that the network caught
        renumbered = self._calls[call.number] = self._begin(call.path, parent, call.layer)
        self._open.append(renumbered)
        return self._observer.enter(renumbered, args, kwargs)

    def leave(self, call: Call, output: object) -> object | None:
        own = self._calls[call.number]
        while self._open and self._open.pop() is not own:
            pass
        return self._observer.leave(own, output)

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> object | None:
        return self._observer.gradient(self._calls[call.number], side, place, gradient)

    def save(self, name: str, data: object) -> None:
        """``ts.save`` was called inside the network."""
        call = self._begin(name, self._open[-1].number if self._open else None, None)
        self._observer.enter(call, (), {})
        self._observer.leave(call, data)
