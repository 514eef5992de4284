"""What all tests of the suite stand on: what the author fills in, and how the plug-in is asked."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.nouns import Parameter
from ts_core.contract.tracing import leaves
from ts_core.testing._suite._cases import LayerCase, NetCase, TraceCase
from ts_core.testing._suite._promises import dtype_called, kept, promise
from ts_core.testing.reference import DEFINITIONS

Array = np.ndarray[Any, np.dtype[Any]]


_FILES = "fill in framework_file and framework_load, or declare `framework files` absent with a reason"


class Suite:
    """What the author fills in, and helpers of the tests."""

    def __init_subclass__(cls) -> None:
        """No test of the suite ends in a traceback: what a plug-in raises breaks the promise of the test."""
        if cls.__module__.startswith(__name__.rpartition(".")[0]):
            for name, member in list(vars(cls).items()):
                if name.startswith("test_"):
                    setattr(cls, name, kept(member))

    #: the module that the entry point names, ``"ts_torch"``
    plugin: ClassVar[str]
    #: the framework, as the user writes it: ``"torch"``
    framework: ClassVar[str]
    #: top-level packages that belong to the framework; importing the plug-in must import none of them
    packages: ClassVar[tuple[str, ...]]
    #: names of all NumPy and ml_dtypes dtypes that tensors of the framework can have
    dtypes: ClassVar[tuple[str, ...]]
    #: those of them whose tensors share memory with the array that `tensor_to_numpy` answers
    zero_copy: ClassVar[tuple[str, ...]]
    #: features of :data:`FEATURES` that the framework does not have → why
    absent: ClassVar[Mapping[str, str]] = {}
    #: whether networks are instances of a class that `framework_info` names; not so where anything may be a network
    claims_networks: ClassVar[bool] = True
    #: public names of layer classes with parameters that have no rule → why
    gaps: ClassVar[Mapping[str, str]] = {}
    #: classes of rules that no layer case proves → why
    unproved: ClassVar[Mapping[str, str]] = {}

    # What the author fills in

    def tensor(self, array: Array) -> Any:
        """A tensor with these values and this dtype, made by the framework's own means."""
        raise NotImplementedError

    def views(self, tensor: Any) -> Iterator[tuple[Any, Callable[[Array], Array]]]:
        """Strided views of a 2-D tensor, each with the same view of an array."""
        yield tensor.T, lambda array: array.T
        yield tensor[1:, ::2], lambda array: array[1:, ::2]

    def without_dense_array(self) -> Iterable[object]:
        """Tensors that no dense array can hold: sparse, quantised, abstract."""
        raise NotImplementedError

    def at(self, net: Any, path: str) -> object:
        """What is at a path of a network, through attributes and items; None when there is nothing."""
        for part in path.split(".") if path else ():
            if hasattr(net, part):
                net = getattr(net, part)
                continue
            try:
                net = net[int(part) if part.isdigit() else part]
            except (LookupError, TypeError):
                return None
        return net

    def nets(self) -> Iterable[NetCase]:
        """Networks that show, between them, nesting, an order that is not alphabetical, a buffer and a tied tensor."""
        raise NotImplementedError

    def layers(self) -> Iterable[LayerCase]:
        """A case for every rule of the plug-in's table."""
        raise NotImplementedError

    def run(self, kind: str, layer: Any, *inputs: Array) -> Array | tuple[Array, ...]:
        """Run a layer in inference mode; arrays have channels before space, as those definitions do."""
        raise NotImplementedError

    def layer_classes(self) -> Iterable[type]:
        """Every class of layer in the framework that has parameters or buffers."""
        raise NotImplementedError

    def loss(self, net: Any) -> float:
        """A smooth scalar function of the parameters of the first network of :meth:`nets`, with fixed inputs."""
        raise NotImplementedError

    def backward(self, net: Any) -> object:
        """Differentiate :meth:`loss`; returns what the user would hand to ``ts.gradients``."""
        raise NotImplementedError

    def backward_through(self, watch: Callable[[Any], Any], array: Array) -> Array:
        """The gradient of ``sum(watch(x) ** 2)`` with respect to ``x``, a tensor with the values of `array`."""
        raise NotImplementedError

    def trace_nets(self) -> Iterable[TraceCase]:
        """Networks of the framework's own layers, and what is called in them.

        Between them: nested layers, a layer that is called twice, one that returns a tuple and one that returns a dict,
        an input by keyword, something that computes otherwise in training, and a layer that raises. Each call matters
        to what the network returns, smoothly, and no layer uses itself what it returns.
        """
        return ()

    def trace_loss(self, output: Any) -> Any:
        """A scalar tensor made of what a network of :meth:`trace_nets` returns: the sum of all squares."""
        return sum((leaf * leaf).sum() for _, leaf in leaves(output) if hasattr(leaf, "shape"))

    def state(self, net: Any) -> dict[str, object]:
        """What a run has to leave as it was, by any name: modes, hooks, flags, which parameters have a gradient.

        Here: every attribute of a layer that is a plain value, and the length of every one that is a list or dict,
        where there is anything to tell.
        """
        found: dict[str, object] = {}
        for layer in self.hook("iter_layers")(net) or ():
            for name, value in getattr(layer.layer, "__dict__", {}).items():
                if isinstance(value, bool | int | str | None):
                    found[f"{layer.path}.{name}"] = value
                elif isinstance(value, dict | list | tuple):
                    found[f"len({layer.path}.{name})"] = len(value)
        for raw in self.hook("iter_parameters")(net) or ():
            found[f"{raw.path}, trainable"] = raw.trainable
            found[f"{raw.path}.grad"] = type(getattr(raw.tensor, "grad", None)).__name__
        return {place: value for place, value in found.items() if value}

    def framework_file(self, net: Any, path: Path) -> None:
        """Write a network to a file by the framework's own means, in the format that the suffix stands for."""
        raise NotImplementedError(_FILES)

    def framework_load(self, path: Path) -> Mapping[str, Array]:
        """Read a file by the framework's own means: name → array, for every tensor in it."""
        raise NotImplementedError(_FILES)

    def random(self) -> Array:
        """Some numbers from the framework's global random generator."""
        raise NotImplementedError

    # Helpers

    @property
    def claimed(self) -> tuple[str, ...]:
        """The classes that the plug-in claims, and those of the frameworks whose tensors are also its own."""
        info: FrameworkInfo = self.hook("framework_info")()
        others = (other.classes for other in ts.plugins() if other.name in info.shares)
        return sum(others, info.classes)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each dtype, network, layer and hook."""
        if "dtype" in metafunc.fixturenames:
            metafunc.parametrize("dtype", self.dtypes)
        if "net_case" in metafunc.fixturenames:
            metafunc.parametrize("net_case", list(self.nets()), ids=lambda case: case.parameters[0][0])
        if "format" in metafunc.fixturenames:
            written = [format.name for info in ts.plugins() for format in info.formats if format.create]
            metafunc.parametrize("format", ["safetensors", "npz", *written])
        if "trace_case" in metafunc.fixturenames:
            metafunc.parametrize("trace_case", [] if "trace" in self.absent else list(self.trace_nets()))
        if "own_format" in metafunc.fixturenames:
            own = [format for info in ts.plugins() if info.name == self.framework for format in info.formats]
            metafunc.parametrize("own_format", own, ids=lambda format: format.name)
        for name, cases in (("layer_case", self.layers()), ("defined_case", self.layers())):
            if name in metafunc.fixturenames:
                chosen = [case for case in cases if name == "layer_case" or (case.kind in DEFINITIONS and case.runs)]
                metafunc.parametrize(name, chosen, ids=lambda case: case.kind)

    @property
    def module(self) -> ModuleType:
        """The plug-in."""
        return importlib.import_module(self.plugin)

    def hook(self, name: str) -> Callable[..., Any]:
        """The plug-in's implementation of a hook; the test fails when there is none."""
        function: Callable[..., Any] | None = getattr(self.module, name, None)
        promise(function is not None, f"{self.plugin} implements {name}, or declares the feature absent")
        assert function is not None
        count = len(inspect.signature(function).parameters)  # a hook may take fewer than it is offered

        def asked_hook(*arguments: object, hook: str = name) -> Any:
            answer = function(*arguments[:count])
            return list(answer) if isinstance(answer, Iterator) else answer  # what it raises while it yields counts

        return asked_hook

    def need(self, feature: str, hook: str | None = None) -> None:
        """Skip the test when the feature is declared absent; fail it when the plug-in has the hook all the same."""
        if feature in self.absent:
            there = hook is not None and hasattr(self.module, hook)
            promise(not there, f"{feature} is declared absent, so the plug-in does not implement {hook}")
            pytest.skip(f"declared absent: {feature}: {self.absent[feature]}")

    def numbers(self, dtype: str, shape: tuple[int, ...] = (3, 4)) -> Array:
        """An array of a dtype with values that any dtype can hold and that tell positions apart."""
        count = int(np.prod(shape))
        return (np.arange(count) % 7).reshape(shape).astype(dtype_called(dtype))

    def filled(self, net: Any) -> tuple[Any, dict[str, Array]]:
        """The network with random arrays in every persistent parameter, and these by name; tied names get the same."""
        rng = np.random.default_rng(7)
        arrays: dict[str, Array] = {}
        for parameter in self.parameters(net):
            if parameter.persistent:
                fresh = rng.uniform(0.5, 1.5, parameter.shape).astype(parameter.dtype)
                arrays[parameter.name] = arrays.get(parameter.tied_to or parameter.name, fresh)
        return self.load(net, arrays), arrays

    def load(self, net: Any, arrays: Mapping[str, Array]) -> Any:
        """Load arrays by name, through the core; the network that holds them."""
        answer = ts.load_parameters(net, arrays).network
        promise(type(answer) is type(net), "load_parameters answers the network that holds the arrays", f"{answer!r}")
        return answer

    def parameters(self, net: object) -> list[Parameter]:
        """What the core makes of `iter_parameters`, `iter_layers` and `layer_rules`."""
        return ts.parameters(net)

    def values(self, net: object) -> dict[str, Array]:
        """Name → a copy of the array of every persistent parameter."""
        to_numpy = self.hook("tensor_to_numpy")
        return {p.name: to_numpy(p.value).copy() for p in self.parameters(net) if p.persistent}
