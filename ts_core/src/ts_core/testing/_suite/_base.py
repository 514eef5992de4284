"""What all tests of the suite stand on: what the author fills in, and how the plug-in is asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.nouns import Parameter
from ts_core.testing._suite._cases import LayerCase, NetCase
from ts_core.testing._suite._promises import dtype_called, kept, promise
from ts_core.testing.reference import DEFINITIONS

Array = np.ndarray[Any, np.dtype[Any]]


class Suite:
    """What the author fills in, and helpers of the tests."""

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

    def random(self) -> Array:
        """Some numbers from the framework's global random generator."""
        raise NotImplementedError

    # Helpers

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each dtype, network, layer and hook."""
        if "dtype" in metafunc.fixturenames:
            metafunc.parametrize("dtype", self.dtypes)
        if "net_case" in metafunc.fixturenames:
            metafunc.parametrize("net_case", list(self.nets()), ids=lambda case: case.parameters[0][0])
        if "format" in metafunc.fixturenames:
            written = [format.name for info in ts.plugins() for format in info.formats if format.create]
            metafunc.parametrize("format", ["safetensors", "npz", *written])
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
        return function

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
        text = "load_parameters takes arrays of the shapes that a network tells, and answers the network"
        answer = kept(text, lambda: ts.load_parameters(net, arrays).network)
        promise(type(answer) is type(net), text, f"{answer!r}")
        return answer

    def parameters(self, net: object) -> list[Parameter]:
        """What the core makes of `iter_parameters`, `iter_layers` and `layer_rules`."""
        return kept("iter_parameters and iter_layers read the framework's networks", lambda: ts.parameters(net))

    def values(self, net: object) -> dict[str, Array]:
        """Name → a copy of the array of every persistent parameter."""
        to_numpy = self.hook("tensor_to_numpy")
        return {p.name: to_numpy(p.value).copy() for p in self.parameters(net) if p.persistent}
