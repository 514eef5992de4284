"""``ts.trace``: a network runs once, and every call of every layer is kept."""

from __future__ import annotations

import dataclasses
import linecache
import os
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ts_core.contract.tracing import Call, NewInputs, Place, Traced, mapped
from ts_core.errors import ArgumentError, NoPluginError
from ts_core.frameworks import (
    framework_of,
    kind_of,
    no_plugin,
    parameters,
    plugins,
    seed_generators,
    settings,
    to_numpy,
)
from ts_core.reporting import require_folder
from ts_core.running._store import Store, as_bytes
from ts_core.running._trace import GRADIENT, Line, Numbering, Slot, Trace, TracedCall, slot_name
from ts_core.running._tracing import observe

_OWN = __name__.partition(".")[0]
_CALLERS = 3


def trace(
    net: object,
    inputs: object,
    path: str | os.PathLike[str] | None = None,
    *,
    loss: Callable[[Any], Any] | None = None,
    seed: int | None = None,
    memory: int | str = "512MB",
) -> Trace:
    """Run a network once and keep every call of every layer: inputs, outputs, and with a loss the gradients.

    Every layer runs in the mode in which it is, without a compiler, and afterwards the network is as it was. The trace
    also holds the parameters, the settings of the layers and the lines they were called from, so that
    :func:`ts_core.locate` can work with it in an environment that does not have the framework.

    Args:
        net: a network of a framework that has a plug-in.
        inputs: an array or tensor; a tuple or list of them; a dict of keyword arguments.
        path: of the file to write, whole or not at all; None keeps the trace in memory.
        loss: makes a scalar tensor of what the network returns.
        seed: for every random generator, which are put back afterwards.
        memory: bytes of arrays that are held, a number or ``"512MB"``; more of them lie in a temporary file meanwhile.

    Returns:
        The trace: a mapping of names to arrays, that reads them when they are asked for.

    Raises:
        NoPluginError: no plug-in recognises the network, or something in the inputs.
        ArgumentError: the network cannot be run; the loss is no scalar; `memory` is no size; the folder does not exist.
        CheckpointWriteError: the file cannot be written.
        Whatever the network raises, with a note that names the layer.
    """
    if path is not None:
        require_folder(path, f"cannot write {path}")
    if framework_of(net) is None:
        raise no_plugin(net)
    recorder = Recorder(net, Store(as_bytes(memory)))
    with seeded(seed) as begin:
        recorder.begin, recorder.differentiates = begin, loss is not None
        traced = observe(net, inputs, recorder, training=None, loss=loss)
    if loss is not None:
        recorder.keep_backward(traced)
    found = recorder.trace(seed)
    if path is None:
        return found
    found.save(path)
    found.close()
    return Trace.open(path)


class seeded:  # noqa: N801 - a context manager
    """With Python's and NumPy's random states put back afterwards; it answers what to call in the run of a network.

    The frameworks' generators are seeded there, where the plug-in puts them back.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = seed

    def __enter__(self) -> Callable[[object], None]:
        self._before = random.getstate(), np.random.get_state()
        return lambda net: None if self._seed is None else seed_generators(self._seed, net=net)

    def __exit__(self, *_: object) -> None:
        random.setstate(self._before[0])
        np.random.set_state(self._before[1])


class Recorder:
    """An observer that keeps everything in a store.

    With `values_alone` it tells neither settings nor lines. Where it `differentiates`, inputs and outputs
    of every call become tensors of their own, so that the gradients are those that the call makes, and of what follows
    the call, whoever else uses the same tensors.

    Args:
        net: the network that will run.
        store: takes the arrays.
        side: put before the names of arrays, where a store has those of several runs.
    """

    def __init__(self, net: object, store: Store, side: str = "") -> None:
        self._net, self._store, self._side = net, store, side
        self._numbering = Numbering()
        self.calls: list[TracedCall] = []
        self._gradients: dict[int, dict[tuple[str, Place], Slot]] = {}
        self._own_gradients: dict[str, Slot] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._frameworks = framework_packages(net)
        self.begin: Callable[[object], None] = lambda net: None
        self.differentiates = False
        self.values_alone = False
        self.loss: float | None = None

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object | None:
        """Note a call and keep its inputs."""
        if call.number == 0:
            self.begin(self._net)
        nth = self._numbering.next(call.path)
        given = self._kept(call.path, nth, "inputs", (args, dict(kwargs)))
        layer = call.layer
        self.calls.append(
            TracedCall(
                call.number,
                call.path,
                nth,
                call.parent,
                None if layer is None else kind_of(layer),
                "" if layer is None else type(layer).__name__,
                mode_of(layer),
                given[0],
                given[1],
                callers=() if self.values_alone else calling_lines(self._frameworks),
            )
        )
        if layer is not None and call.path not in self._settings and not self.values_alone:
            told = settings_of(layer)
            if told:
                self._settings[call.path] = told
        return NewInputs(args, kwargs) if self.differentiates and layer is not None else None

    def leave(self, call: Call, output: object) -> object | None:
        """Keep what a call returns."""
        noted = self.calls[call.number]
        kept = self._kept(call.path, noted.nth, "outputs", output)
        self.calls[call.number] = dataclasses.replace(noted, output=kept)
        return output if self.differentiates else None

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> object | None:
        """Keep a gradient."""
        name = self._side + slot_name(call.path, self.calls[call.number].nth, side, place) + ":gradient"
        self._gradients.setdefault(call.number, {})[side, place] = Slot(self._store.put(name, to_numpy(gradient)))
        return None

    def keep_backward(self, traced: Traced) -> None:
        """Keep the loss, and the gradients of parameters, which come by path. Raises ArgumentError for no scalar."""
        value = to_numpy(traced.loss)
        if value.size != 1:
            raise ArgumentError(f"loss answered an array of shape {value.shape}, not a scalar")
        self.loss = float(value.reshape(-1)[0])
        names = {p.path: p.name for p in parameters(self._net)}
        for path, gradient in traced.gradients.items():
            if gradient is not None:
                self._own_gradients[names.get(path, path)] = Slot(
                    self._store.put(self._side + GRADIENT + names.get(path, path), to_numpy(gradient))
                )

    def _kept(self, path: str, nth: int, side: str, values: Any) -> Any:
        def keep(place: Place, leaf: Any) -> Any:
            array = array_of(leaf)
            if array is None:
                return leaf
            inner = place[1:] if side == "inputs" else place  # args and kwargs are told apart by numbers and words
            return Slot(self._store.put(self._side + slot_name(path, nth, side, inner), array))

        return mapped(values, keep)

    def trace(self, seed: int | None) -> Trace:
        """What was kept."""
        calls = [dataclasses.replace(c, gradients=self._gradients.get(c.number, {})) for c in self.calls]
        own = [p for p in parameters(self._net) if p.persistent]
        facts = {
            "framework": framework_of(self._net),
            "network": type(self._net).__qualname__,
            "settings": self._settings,
            "owners": {p.name: (p.layer, p.kind, p.role) for p in own},
            "gradients": self._own_gradients,
            "loss": self.loss,
            "seed": seed,
        }
        return Trace(calls, self._store, {p.name: _Array(p) for p in own}, facts)


class _Array:
    """A parameter, as an array when it is asked for."""

    def __init__(self, parameter: Any) -> None:
        self.shape, self.dtype, self._value = parameter.shape, parameter.dtype, parameter.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, np.dtype[Any]]:
        return to_numpy(self._value)


def array_of(leaf: Any) -> np.ndarray[Any, np.dtype[Any]] | None:
    """A tensor as an array; None for anything else."""
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return None
    try:
        return to_numpy(leaf)
    except NoPluginError:
        return None


def mode_of(layer: object) -> bool | None:
    """Whether a layer trains; None when it does not say."""
    told = getattr(layer, "training", None)
    return told if isinstance(told, bool) else None


def settings_of(layer: object) -> dict[str, Any]:
    """Canonical setting → its value."""
    return {name: each.value for name, each in (settings(layer) or {}).items()}


def framework_packages(net: object) -> frozenset[str]:
    """The packages whose code is not the network's own: of the framework, and ours."""
    name = framework_of(net)
    classes = next((info.classes for info in plugins() if info.name == name), ())
    roots = {cls.partition(".")[0] for cls in classes}
    return frozenset(roots) | {_OWN, f"ts_{name}", "contextlib", "functools"}


def calling_lines(frameworks: frozenset[str]) -> tuple[Line, ...]:
    """The lines of the nearest callers whose code is neither a framework's nor ours, the innermost first."""
    found: list[Line] = []
    frame = sys._getframe(1).f_back
    while frame is not None and len(found) < _CALLERS:
        module, code = str(frame.f_globals.get("__name__", "")), frame.f_code
        if module.startswith("_pytest") or code.co_name == "<module>":
            break
        if module.partition(".")[0] not in frameworks:
            text = linecache.getline(code.co_filename, frame.f_lineno).strip()
            found.append(Line(code.co_filename, frame.f_lineno, code.co_name, text))
        frame = frame.f_back
    return tuple(found)
