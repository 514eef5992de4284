"""The tests themselves. Each one is a promise; its docstring says which, and a failure says how it was broken."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.byte_sources import MappedFile
from ts_core.contract.hooks import CONTRACT_VERSION
from ts_core.contract.nouns import FrameworkInfo, LayerRule, Parameter
from ts_core.contract.recognition import is_class, is_instance
from ts_core.errors import LoadError, UnsupportedDtypeError, UnsupportedTensorError
from ts_core.testing.reference import KINDS

Array = np.ndarray[Any, np.dtype[Any]]

#: What a framework may lack, and its plug-in then declares in :attr:`FrameworkSuite.absent`.
FEATURES: Mapping[str, str] = {
    "buffers": "networks keep arrays that are no parameters, such as a running mean",
    "no dense array": "there are tensors that no dense array can hold, such as sparse ones",
    "gradients": "gradients of a network's parameters can be had",
    "on_gradient": "the gradient of an intermediate tensor can be watched",
    "seed": "there is a global random generator",
    "tied": "a network can use one tensor in several places",
    "views": "a tensor can be a strided view of another one",
    "file format": "the framework has a checkpoint format of its own",
}


@dataclass(frozen=True, slots=True)
class NetCase:
    """A network, and what `iter_parameters` should say of it.

    Attributes:
        make: a new network with parameters of its own at each call.
        parameters: (name, path of the layer, kind, role) in definition order, buffers included.
    """

    make: Callable[[], object]
    parameters: Sequence[tuple[str, str, str | None, str | None]]


@dataclass(frozen=True, slots=True)
class LayerCase:
    """One layer that the plug-in has a rule for.

    Attributes:
        kind: its canonical kind. Where :data:`KINDS` knows it, the layer is made as `settings` there says, and the
            suite compares what it computes with the definition.
        make: a new layer with parameters of its own at each call.
        runs: whether the framework can compute it where the suite runs.
    """

    kind: str
    make: Callable[[], object]
    runs: bool = True


class FrameworkSuite:
    """Inherit from this class, fill in what has no default, and run pytest.

    Nothing here is called before the tests run, except :meth:`nets` and :meth:`layers`, which list cases and make no
    network yet.
    """

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
        """Run a layer in inference mode; arrays have channels before space, as the definitions in KINDS do."""
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
            metafunc.parametrize(
                "format", ["safetensors", "npz", *(f.name for info in ts.plugins() for f in info.formats if f.create)]
            )
        for name, cases in (("layer_case", self.layers()), ("defined_case", self.layers())):
            if name in metafunc.fixturenames:
                chosen = [case for case in cases if name == "layer_case" or (case.kind in KINDS and case.runs)]
                metafunc.parametrize(name, chosen, ids=lambda case: case.kind)

    @property
    def module(self) -> ModuleType:
        """The plug-in."""
        return importlib.import_module(self.plugin)

    def hook(self, name: str) -> Callable[..., Any]:
        """The plug-in's implementation of a hook; the test fails when there is none."""
        function: Callable[..., Any] | None = getattr(self.module, name, None)
        _promise(function is not None, f"{self.plugin} implements {name}, or declares the feature absent")
        assert function is not None
        return function

    def need(self, feature: str, hook: str | None = None) -> None:
        """Skip the test when the feature is declared absent; fail it when the plug-in has the hook all the same."""
        if feature in self.absent:
            there = hook is not None and hasattr(self.module, hook)
            _promise(not there, f"{feature} is declared absent, so the plug-in does not implement {hook}")
            pytest.skip(f"declared absent: {feature}: {self.absent[feature]}")

    def numbers(self, dtype: str, shape: tuple[int, ...] = (3, 4)) -> Array:
        """An array of a dtype with values that any dtype can hold and that tell positions apart."""
        count = int(np.prod(shape))
        return (np.arange(count) % 7).reshape(shape).astype(_dtype(dtype))

    def filled(self, net: object) -> dict[str, Array]:
        """Random arrays for every persistent parameter of a network, loaded into it; tied names get the same one."""
        rng = np.random.default_rng(7)
        arrays: dict[str, Array] = {}
        for parameter in self.parameters(net):
            if parameter.persistent:
                fresh = rng.uniform(0.5, 1.5, parameter.shape).astype(parameter.dtype)
                arrays[parameter.name] = arrays.get(parameter.tied_to or parameter.name, fresh)
        result = self.hook("load_parameters")(net, arrays, True)
        _promise(bool(result), "arrays of the shapes that iter_parameters tells can be loaded", repr(result))
        return arrays

    def parameters(self, net: object) -> list[Parameter]:
        """What `iter_parameters` answers, as a list."""
        found = self.hook("iter_parameters")(net)
        _promise(found is not None, "iter_parameters recognises the framework's networks", f"{type(net)}: None")
        return list(found)

    def values(self, net: object) -> dict[str, Array]:
        """Name → a copy of the array of every persistent parameter."""
        to_numpy = self.hook("tensor_to_numpy")
        return {p.name: to_numpy(p.value).copy() for p in self.parameters(net) if p.persistent}

    # The plug-in itself

    def test_import_is_light(self) -> None:
        """Importing the plug-in, and asking all that needs no framework, imports no framework."""
        script = (
            f"import sys, {self.plugin} as plugin\n"
            f"packages = {self.packages!r}\n"
            "plugin.framework_info(); getattr(plugin, 'layer_rules', list)()\n"
            "for hook in ('tensor_to_numpy', 'iter_parameters'):\n"
            "    getattr(plugin, hook, lambda _: None)(object())\n"
            "sys.exit(', '.join(package for package in packages if package in sys.modules) or 0)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = subprocess.run(  # noqa: S603 - our own interpreter and the plug-in under test
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        _promise(run.returncode == 0, "importing the plug-in imports no framework", run.stderr.strip())

    def test_is_registered(self) -> None:
        """The plug-in is found through its entry point, and keeps the signatures of the contract."""
        from ts_core.frameworks import registry

        infos = {info.name: info for info in ts.plugins()}
        _promise(self.framework in infos, f"an entry point of the group ts_core names {self.plugin}", str(list(infos)))
        info = infos[self.framework]
        _promise(not info.problem, "the plug-in loads and its framework is installed", info.problem)
        _promise(not info.conflicts, "no other plug-in claims the same", "; ".join(info.conflicts))
        for hook, answering in registry().who_answers().items():
            there = hasattr(self.module, hook)
            _promise(not there or self.framework in answering, f"{hook} is marked with @hookimpl", f"{answering}")

    def test_info(self) -> None:
        """`framework_info` names the framework, and classes that its tensors and networks really have."""
        info: FrameworkInfo = self.hook("framework_info")()
        _promise(info.name == self.framework, "framework_info has the framework's name", info.name)
        _promise(info.contract <= CONTRACT_VERSION, "the contract it was written for exists", str(info.contract))
        tensor = self.tensor(self.numbers("float32"))
        _promise(is_instance(tensor, *info.classes), "the class of tensors is claimed", f"{type(tensor)}")
        for case in self.nets():
            net = case.make()
            _promise(is_instance(net, *info.classes), "the class of networks is claimed", f"{type(net).__mro__}")

    def test_features(self) -> None:
        """What is declared absent is a feature that the suite knows, with a reason."""
        for feature, reason in self.absent.items():
            _promise(feature in FEATURES, f"absent names features of {list(FEATURES)}", feature)
            _promise(bool(reason), "what is absent has a reason", feature)

    # Tensors

    def test_to_numpy(self, dtype: str) -> None:
        """An array of the tensor's dtype, shape and bits."""
        for shape in ((3, 4), (), (0, 3), (2, 1, 3)):
            array = self.numbers(dtype, shape)
            _same(self.hook("tensor_to_numpy")(self.tensor(array)), array, "tensor_to_numpy keeps dtype, shape, bits")

    def test_to_numpy_special_values(self, dtype: str) -> None:
        """Every bit pattern comes through: infinities, NaN, negative zero, the largest integer."""
        array = _special(_dtype(dtype))
        tensor = self.hook("tensor_from_numpy")(array, self.framework)
        _same(self.hook("tensor_to_numpy")(tensor), array, "special values keep their bits")

    def test_to_numpy_views(self, dtype: str) -> None:
        """A transposed or sliced tensor comes out as what it shows."""
        self.need("views")
        array = self.numbers(dtype, (4, 6))
        for view, same in self.views(self.tensor(array)):
            _same(self.hook("tensor_to_numpy")(view), same(array), "tensor_to_numpy follows the strides of a view")

    def test_to_numpy_shares_memory(self, dtype: str) -> None:
        """A tensor of a dtype in `zero_copy` shares its memory with the array, one of another dtype does not."""
        tensor = self.tensor(self.numbers(dtype, (64,)))
        to_numpy = self.hook("tensor_to_numpy")
        shared = np.shares_memory(to_numpy(tensor), to_numpy(tensor))
        claim = "shares memory, as zero_copy says" if dtype in self.zero_copy else "is a copy, as zero_copy says"
        _promise(shared == (dtype in self.zero_copy), f"the array of a {dtype} tensor {claim}")

    def test_to_numpy_without_dense_array(self) -> None:
        """A tensor that no dense array can hold is an error that says so."""
        self.need("no dense array")
        for tensor in self.without_dense_array():
            promise = f"a {type(tensor).__name__} without a dense array is an UnsupportedTensorError"
            _raises(UnsupportedTensorError, promise, self.hook("tensor_to_numpy"), tensor)

    def test_from_numpy(self, dtype: str) -> None:
        """A tensor of the array's dtype, shape and bits, whatever the array's memory looks like."""
        array = self.numbers(dtype, (4, 6))
        frozen = array.copy()
        frozen.flags.writeable = False
        variants = [
            array,
            array.T,
            array[1:, ::2],
            array[::-1],
            np.asfortranarray(array),
            frozen,
            array[:0],
            array[0, 0, ...],
        ]
        if array.dtype.kind in "iufc" and array.dtype.itemsize > 1:
            variants.append(array.astype(array.dtype.newbyteorder()))
        for variant in variants:
            tensor = self.hook("tensor_from_numpy")(variant, self.framework)
            claimed = self.hook("framework_info")().classes
            _promise(
                is_instance(tensor, *claimed), "tensor_from_numpy makes a tensor of the framework", f"{type(tensor)}"
            )
            native = variant.astype(variant.dtype.newbyteorder("="), copy=False)
            _same(self.hook("tensor_to_numpy")(tensor), native, "tensor_from_numpy keeps dtype, shape and bits")

    def test_from_numpy_copies(self, dtype: str) -> None:
        """The tensor does not follow later changes of the array."""
        array = self.numbers(dtype, (64,))
        tensor = self.hook("tensor_from_numpy")(array, self.framework)
        before = array.copy()
        array[...] = array[::-1].copy()
        _same(self.hook("tensor_to_numpy")(tensor), before, "tensor_from_numpy copies")

    def test_from_numpy_unknown_dtype(self) -> None:
        """A dtype that the framework lacks is an UnsupportedDtypeError, never a silent cast."""
        for array in (np.array(["text"]), np.array([object()]), np.zeros(2, "datetime64[s]")):
            promise = f"an array of dtype {array.dtype} is an UnsupportedDtypeError"
            _raises(UnsupportedDtypeError, promise, self.hook("tensor_from_numpy"), array, self.framework)

    # Parameters

    def test_parameters(self, net_case: NetCase) -> None:
        """Every parameter and buffer, in definition order, with its layer, kind and role."""
        found = [(p.name, p.layer, p.kind, p.role) for p in self.parameters(net_case.make())]
        expected = [tuple(row) for row in net_case.parameters]
        lost, added = [row for row in expected if row not in found], [row for row in found if row not in expected]
        _promise(
            not lost and not added,
            "iter_parameters names every parameter and buffer with its layer, kind and role",
            f"missing {lost}, not expected {added}",
        )
        _promise(found == expected, "iter_parameters keeps the definition order", f"{found} instead of {expected}")

    def test_parameters_match_their_values(self, net_case: NetCase) -> None:
        """Shape and dtype are those of the value, and the value is a tensor of the framework."""
        for parameter in self.parameters(net_case.make()):
            array = self.hook("tensor_to_numpy")(parameter.value)
            _promise(array is not None, "the value of a parameter is a tensor", f"{type(parameter.value)}")
            _promise(parameter.shape == array.shape, f"{parameter.name} has the shape of its value", f"{parameter}")
            _promise(type(parameter.shape) is tuple, "a shape is a tuple", f"{parameter}")
            _promise(parameter.dtype == array.dtype, f"{parameter.name} has the dtype of its value", f"{parameter}")

    def test_nets_show_the_features(self) -> None:
        """The networks of the suite show nesting, another order than the alphabet's, a buffer and a tied tensor."""
        seen = [self.parameters(case.make()) for case in self.nets()]
        every = [parameter for net in seen for parameter in net]
        _promise(any("." in p.layer for p in every), "one network nests a layer within a layer")
        _promise(
            any([p.name for p in net] != sorted(p.name for p in net) for net in seen),
            "one network defines its layers in another order than the alphabet's",
        )
        _promise(all(p.trainable for p in seen[0] if p.role in ("weight", "bias")), "weights and biases are trainable")
        if "buffers" not in self.absent:
            _promise(any(not p.trainable for p in every), "one network has a buffer, which is not trainable")
        if "tied" not in self.absent:
            _promise(any(p.tied_to for p in every), "one network uses a tensor twice, and the second names the first")

    def test_tied(self) -> None:
        """A tensor that is used twice comes twice, and `tied_to` names its first place."""
        self.need("tied")
        for net in (self.parameters(case.make()) for case in self.nets()):
            names = [parameter.name for parameter in net]
            for position, parameter in enumerate(net):
                if parameter.tied_to is not None:
                    _promise(
                        parameter.tied_to in names[:position], "tied_to names an earlier parameter", f"{parameter}"
                    )
                    first = net[names.index(parameter.tied_to)]
                    _promise(first.value is parameter.value, "tied parameters are the same tensor", f"{parameter}")

    # Loading

    def test_load(self, net_case: NetCase) -> None:
        """What is loaded is what is then in the network, in arrays of any memory layout."""
        net = net_case.make()
        arrays = {name: np.array(array, order="F") for name, array in self.filled(net).items()}
        result = self.hook("load_parameters")(net, arrays, True)
        _promise(set(result.loaded) == set(arrays), "load_parameters tells what it loaded", f"{result}")
        for name, array in self.values(net).items():
            _same(array, arrays[name], f"{name} holds what was loaded")

    def test_load_copies(self, net_case: NetCase) -> None:
        """The network does not follow later changes of the arrays."""
        net = net_case.make()
        arrays = self.filled(net)
        before = self.values(net)
        for array in arrays.values():
            array[...] = np.zeros_like(array)
        _unchanged(self.values(net), before, "load_parameters copies")

    def test_load_casts(self, net_case: NetCase) -> None:
        """Arrays of another dtype are cast to that of the parameter."""
        net = net_case.make()
        dtypes = {p.name: p.dtype for p in self.parameters(net)}
        arrays = {name: array.astype(np.float64) for name, array in self.filled(net).items()}
        self.hook("load_parameters")(net, arrays, True)
        for name, array in self.values(net).items():
            _same(array, arrays[name].astype(dtypes[name]), f"{name} keeps its dtype when float64 is loaded")

    @pytest.mark.parametrize("wrong", ["missing", "unexpected", "mismatched"])
    def test_load_strict(self, net_case: NetCase, wrong: str) -> None:
        """Whatever does not fit is told, and a strict load then changes nothing; a lenient one loads the rest."""
        load = self.hook("load_parameters")
        net = net_case.make()
        arrays = {name: np.asarray(array + 1, array.dtype) for name, array in self.filled(net).items()}
        before = self.values(net)
        tied = {p.tied_to for p in self.parameters(net)} | {p.name for p in self.parameters(net) if p.tied_to}
        name = next(name for name in reversed(arrays) if name not in tied and arrays[name].ndim > 0)
        if wrong == "missing":
            del arrays[name]
        elif wrong == "unexpected":
            name = "no.such.parameter"
            arrays[name] = np.zeros(3, np.float32)
        else:
            arrays[name] = np.zeros((*arrays[name].shape, 2), np.float32)
        result = load(net, arrays, True)
        told = getattr(result, wrong)
        _promise(list(told) == [name], f"load_parameters tells what is {wrong}", f"{result}")
        _promise(not result, f"a result with something {wrong} is false", f"{result}")
        _unchanged(self.values(net), before, f"a strict load with something {wrong} changes nothing")
        promise = f"ts.load_parameters raises when something is {wrong}"
        _raises(LoadError, promise, ts.load_parameters, net, arrays)
        load(net, arrays, False)
        for other, array in self.values(net).items():
            fits = other in arrays and arrays[other].shape == array.shape
            _same(
                array,
                arrays[other] if fits else before[other],
                f"a lenient load changes what fits, and only that: {other}",
            )

    # Layers

    def test_rules(self) -> None:
        """Each rule has its roles once, lays out only roles it has, and names a class of the framework."""
        for rule in self.hook("layer_rules")():
            _promise(isinstance(rule, LayerRule), "layer_rules are LayerRules", f"{rule!r}")
            roles = list(rule.roles.values())
            _promise(len(set(roles)) == len(roles), "each role of a rule comes once", f"{rule}")
            _promise(set(rule.layout) <= set(roles), "a layout is for a role that the rule has", f"{rule}")
            _promise(rule.cls.partition(".")[0] in self.packages, "a rule is for a class of the framework", rule.cls)

    def test_every_rule_has_a_case(self) -> None:
        """`layers()` has a case for every rule, so that each one is proved, or the rule is listed in `unproved`."""
        rules = list(self.hook("layer_rules")())
        layers = [(case.kind, type(case.make())) for case in self.layers()]
        unproved = [
            f"{rule.cls} as {rule.kind}"
            for rule in rules
            if rule.cls not in self.unproved
            and not any(
                kind == rule.kind and any(is_class(base, rule.cls) for base in cls.__mro__) for kind, cls in layers
            )
        ]
        _promise(not unproved, "every rule has a LayerCase", ", ".join(unproved))

    def test_every_class_has_a_rule(self) -> None:
        """Every layer class with parameters has a rule, or is listed in `gaps` with the reason."""
        rules = [rule.cls for rule in self.hook("layer_rules")()]
        unknown = [
            f"{cls.__module__}.{cls.__qualname__}"
            for cls in self.layer_classes()
            if not any(is_class(base, name) for base in cls.__mro__ for name in (*rules, *self.gaps))
        ]
        _promise(not unknown, "every layer class with parameters has a rule or is a declared gap", ", ".join(unknown))

    def test_layer(self, layer_case: LayerCase) -> None:
        """Every parameter of a layer that has a rule is known by kind and role."""
        layer = layer_case.make()
        found = self.parameters(layer)
        _promise(bool(found), f"a {layer_case.kind} layer has parameters", f"{type(layer)}")
        for parameter in found:
            _promise(parameter.layer == "", "a layer that is itself the network owns its parameters", f"{parameter}")
            _promise(parameter.kind == layer_case.kind, f"the layer is a {layer_case.kind}", f"{parameter}")
            _promise(parameter.role is not None, "every parameter of the layer has a role", f"{parameter}")

    def test_layout_is_invertible(self, layer_case: LayerCase) -> None:
        """Stored layout → canonical → stored layout is the identity, for arrays and for shapes."""
        for parameter in self.parameters(layer_case.make()):
            if parameter.layout is not None:
                array = np.arange(np.prod(parameter.shape)).reshape(parameter.shape)
                (canonical,) = parameter.layout.inverse().apply(array)
                (back,) = parameter.layout.apply(canonical)
                _same(back, array, f"the layout of {parameter.name} is invertible")
                (shape,) = parameter.layout.inverse().shapes(parameter.shape)
                _promise(shape == canonical.shape, f"the layout of {parameter.name} works on shapes", f"{shape}")

    def test_layer_computes_its_kind(self, defined_case: LayerCase) -> None:
        """Filled through its roles and layouts, the layer computes what its canonical kind is defined to compute."""
        kind = KINDS[defined_case.kind]
        layer = defined_case.make()
        arrays = self.filled(layer)
        roles: dict[str, Array] = {}
        for parameter in self.parameters(layer):
            array = arrays[parameter.name].astype(np.float64)
            assert parameter.role is not None
            roles[parameter.role] = parameter.layout.inverse().apply(array)[0] if parameter.layout else array
        rng = np.random.default_rng(11)
        inputs = [
            rng.integers(0, 4, shape) if kind.integers else rng.standard_normal(shape).astype(np.float32)
            for shape in kind.inputs
        ]
        try:
            expected = kind.compute(roles, *(x if kind.integers else x.astype(np.float64) for x in inputs))
        except KeyError as role:
            _promise(False, f"a {defined_case.kind} has the roles of its definition", f"{role} is not in {list(roles)}")
        computed = self.run(defined_case.kind, layer, *inputs)
        for ours, theirs in zip(_tuple(expected), _tuple(computed), strict=True):
            _promise(
                ours.shape == np.shape(theirs) and np.allclose(ours, theirs, rtol=1e-4, atol=1e-4),
                f"roles and layouts of the rule for {defined_case.kind} mean what the kind defines",
                f"largest difference {np.abs(ours - theirs).max() if ours.shape == np.shape(theirs) else 'of shapes'}",
            )

    # Gradients

    def test_gradients(self) -> None:
        """`ts.gradients` answers the derivative of the loss by each trainable parameter, by name."""
        self.need("gradients", "extract_gradients")
        net = next(iter(self.nets())).make()
        arrays = self.filled(net)
        source = self.backward(net)
        answer = self.hook("extract_gradients")(source, net)
        _promise(answer is not None, "extract_gradients recognises what backward returned", f"{type(source)}: None")
        found = ts.gradients(source, net)
        trainable = [p.name for p in self.parameters(net) if p.trainable and p.tied_to is None]
        _promise(list(found) == trainable, "gradients come by name, in definition order", f"{list(found)}")
        for name in trainable:
            gradient, numeric = found[name], self._numeric_gradient(net, arrays, name)
            _promise(
                gradient is not None
                and gradient.shape == numeric.shape
                and np.allclose(gradient, numeric, rtol=0.05, atol=0.01),
                f"the gradient of {name} is the derivative of the loss by it",
                f"{gradient} instead of {numeric}",
            )

    def _numeric_gradient(self, net: object, arrays: dict[str, Array], name: str, step: float = 1e-2) -> Array:
        """Central differences of the loss: (f(x + h) - f(x - h)) / 2h for each element."""
        places = {p.name for p in self.parameters(net) if name in (p.name, p.tied_to)}
        gradient = np.zeros(arrays[name].shape)
        for position in np.ndindex(gradient.shape):
            around = []
            for sign in (1, -1):
                moved = arrays[name].copy()
                moved[position] += sign * step
                self.hook("load_parameters")(net, {**arrays, **dict.fromkeys(places, moved)}, True)
                around.append(self.loss(net))
            gradient[position] = (around[0] - around[1]) / (2 * step)
        self.hook("load_parameters")(net, arrays, True)
        return gradient

    def test_gradients_of_strangers(self) -> None:
        """An object that holds no gradients never yields invented ones."""
        self.need("gradients", "extract_gradients")
        _promise(self.hook("extract_gradients")(object(), None) is None, "extract_gradients answers None to a stranger")

    def test_on_gradient(self) -> None:
        """The callback gets the gradient once, as a tensor, and the gradient goes on unchanged."""
        self.need("on_gradient", "on_gradient")
        on_gradient = self.hook("on_gradient")
        to_numpy = self.hook("tensor_to_numpy")
        array = self.numbers("float32", (2, 3)) + 1
        seen: list[Array] = []

        def keep(gradient: object) -> None:
            seen.append(to_numpy(gradient).copy())

        def watch(tensor: object) -> object:
            watched = on_gradient(tensor, keep)
            _promise(
                watched is not None, "on_gradient recognises a tensor that is being differentiated", f"{type(tensor)}"
            )
            return watched

        returned = self.backward_through(watch, array)
        _promise(len(seen) == 1, "the callback is called once", f"{len(seen)} times")
        _same(seen[0], 2 * array, "the callback gets the gradient")
        _same(np.asarray(returned), 2 * array, "the gradient goes on unchanged")

    # Strangers

    @pytest.mark.parametrize(
        "stranger",
        [object(), "text", 2.5, None, [1, 2], {"a": 1}, np.zeros(2)],
        ids=lambda stranger: type(stranger).__name__,
    )
    def test_strangers(self, stranger: object) -> None:
        """Every hook answers None to what is not the framework's."""
        questions: dict[str, tuple[object, ...]] = {
            "tensor_to_numpy": (stranger,),
            "iter_parameters": (stranger,),
            "load_parameters": (stranger, {}, True),
            "extract_gradients": (stranger, None),
            "on_gradient": (stranger, lambda gradient: None),
        }
        for hook, arguments in questions.items():
            if hasattr(self.module, hook):
                try:
                    answer = self.hook(hook)(*arguments)
                except Exception as problem:
                    answer = problem
                _promise(answer is None, f"{hook} answers None to a stranger", f"{stranger!r}: {answer!r}")

    def test_namesakes(self) -> None:
        """A class that is only called like one of the framework's is a stranger."""
        for claimed in self.hook("framework_info")().classes:
            namesake = type(claimed.rpartition(".")[2], (), {"__module__": "somewhere.else"})()
            for hook in ("tensor_to_numpy", "iter_parameters"):
                _promise(self.hook(hook)(namesake) is None, f"{hook} tells classes by their package", claimed)

    def test_other_frameworks(self) -> None:
        """`tensor_from_numpy` answers None when another framework is asked for."""
        answer = self.hook("tensor_from_numpy")(np.zeros(2, np.float32), f"not-{self.framework}")
        _promise(answer is None, "tensor_from_numpy answers None when another framework is asked for", repr(answer))

    @pytest.mark.parametrize("content", [b"", b"\0" * 64, b"plain text\n" * 20, b"PK\x03\x04 not really", b"\x80\x02."])
    def test_foreign_files(self, tmp_path: Path, content: bytes) -> None:
        """A file of another kind, whatever its name, is not taken for one of ours."""
        formats = self.hook("framework_info")().formats
        if not formats:
            self.need("file format")
        for format in formats:
            path = tmp_path / f"file{format.suffixes[0]}"
            path.write_bytes(content)
            try:
                answer = format.sniff(MappedFile(path))
            except ts.errors.CheckpointError:
                continue  # it looked like one of ours, and was found damaged: as good an answer
            _promise(answer is False, "sniff answers False to a foreign file", f"{content[:12]!r}")

    # What the verbs of the core make of it

    def test_save(self, tmp_path: Path, dtype: str) -> None:
        """`ts.save` writes a tensor, also inside lists and dicts, and the name says its dtype."""
        array = self.numbers(dtype)
        ts.save(tmp_path / "x", [self.tensor(array), {"key": self.tensor(array[0])}])
        files = sorted(tmp_path.iterdir())
        names = [path.name.rpartition("_")[0] for path in files]
        _promise(names == [f"x.0_{dtype}", f"x.1.key_{dtype}"], "ts.save names the dtype of a tensor", f"{names}")
        for path, expected in zip(files, (array, array[0]), strict=True):
            saved = np.load(path)
            _same(saved, expected.astype(saved.dtype), "ts.save writes the numbers of a tensor")

    def test_save_grad(self, tmp_path: Path) -> None:
        """`ts.save_grad` writes the gradient of a tensor when the backward pass reaches it."""
        self.need("on_gradient", "on_gradient")
        array = self.numbers("float32", (2, 3)) + 1
        returned = self.backward_through(lambda tensor: ts.save_grad(tmp_path / "x", tensor), array)
        files = list(tmp_path.iterdir())
        _promise(len(files) == 1, "ts.save_grad writes one file", f"{files}")
        _same(np.load(files[0]), 2 * array, "ts.save_grad writes the gradient")
        _same(np.asarray(returned), 2 * array, "ts.save_grad leaves the gradient as it is")

    def test_checkpoint(self, tmp_path: Path, net_case: NetCase, format: str) -> None:
        """A network comes back bit for bit from every format that can hold it; another one is refused beforehand."""
        net, fresh = net_case.make(), net_case.make()
        self.filled(net)
        before = self.values(net)
        path = tmp_path / "net"
        try:
            ts.save_checkpoint(net, path, format=format)
        except UnsupportedDtypeError as problem:
            _promise(not path.exists(), "what a format cannot hold is refused before anything is written", str(problem))
            return
        with ts.open_checkpoint(path) as checkpoint:
            _promise(list(checkpoint) == list(before), "a checkpoint holds the network's own names, in order")
            ts.load_parameters(fresh, checkpoint)
        _unchanged(self.values(fresh), before, f"a network comes back from {format} bit for bit")

    # Randomness

    def test_seed(self) -> None:
        """The same seed gives the same numbers, another one others."""
        self.need("seed", "seed")
        drawn = []
        for seed in (16, 16, 17):
            self.hook("seed")(seed)
            drawn.append(self.random())
        _same(drawn[1], drawn[0], "the same seed gives the same numbers")
        _promise(not np.array_equal(drawn[2], drawn[0]), "another seed gives other numbers")


def public_classes(namespace: ModuleType, base: type, creating: Sequence[str] = ()) -> list[type]:
    """The layer classes that a module offers under public names.

    Args:
        namespace: the framework's module, ``torch.nn``.
        base: the class of all networks; itself left out.
        creating: how source code makes a parameter or buffer, ``"register_buffer("``. With it, only those classes are
            answered whose source, or that of a class they derive from, does so.
    """
    members = (member for name, member in inspect.getmembers(namespace, inspect.isclass) if not name.startswith("_"))
    classes = {cls: None for cls in members if issubclass(cls, base) and cls is not base}  # under each name, once
    return [cls for cls in classes if not creating or _source_has(cls, base, creating)]


def _source_has(cls: type, base: type, words: Sequence[str]) -> bool:
    sources = (inspect.getsource(ancestor) for ancestor in cls.__mro__ if ancestor not in base.__mro__)
    return any(word in source for source in sources for word in words)


def _promise(kept: bool, promise: str, detail: str | None = "") -> None:
    """Fail the test with the promise that was broken."""
    if not kept:
        pytest.fail(f"broken promise: {promise}" + (f"\n  {detail}" if detail else ""), pytrace=False)


def _same(actual: object, expected: Array, promise: str) -> None:
    """Both arrays have the same dtype, shape and bits."""
    _promise(isinstance(actual, np.ndarray), promise, f"{type(actual).__name__} is no array")
    assert isinstance(actual, np.ndarray)
    _promise(actual.dtype == expected.dtype, promise, f"dtype {actual.dtype} instead of {expected.dtype}")
    _promise(actual.shape == expected.shape, promise, f"shape {actual.shape} instead of {expected.shape}")
    _promise(actual.tobytes() == expected.tobytes(), promise, f"{actual.ravel()[:6]} instead of {expected.ravel()[:6]}")


def _unchanged(after: Mapping[str, Array], before: Mapping[str, Array], promise: str) -> None:
    for name, array in after.items():
        _same(array, before[name], f"{promise}: {name}")


def _raises(error: type[Exception], promise: str, function: Callable[..., object], *arguments: object) -> None:
    try:
        answer = function(*arguments)
    except error as problem:
        _promise(bool(str(problem)), f"{promise}, with a message")
        return
    except Exception as problem:
        _promise(False, promise, f"{type(problem).__name__}: {problem}")
    _promise(False, promise, f"it answered {answer!r}")


def _dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))


def _special(dtype: np.dtype[Any]) -> Array:
    """Every bit pattern of a dtype of one or two bytes, the odd values of a larger one."""
    if dtype.kind == "b":
        return np.array([True, False])
    if (dtype.itemsize <= 2 and dtype.kind != "V") or dtype.itemsize == 2:
        return np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([limits.min, 0, 1, limits.max], dtype)
    odd = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-40, 3e38])
    return odd.astype(dtype)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
