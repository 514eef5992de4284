"""The conformance suite catches plug-ins that are wrong: each bug here is put into the PyTorch plug-in, one at a time.

A bug wraps one honest hook. The suite then runs on the altered plug-in, and the test that is named with the bug has to
fail with the promise that was broken.
"""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule
from ts_core.contract.transforms import InsertAxis, Transpose
from ts_core.frameworks._registry import GROUP, PluginRegistry

torch = pytest.importorskip("torch")

Hook = Callable[..., Any]
SUITE = Path(__file__).with_name("test_torch.py")
RUN_SUITE = f"""
    import importlib.util
    spec = importlib.util.spec_from_file_location("honest_suite", {str(SUITE)!r})
    honest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(honest)

    class TestAltered(honest.TestTorch):
        plugin = "altered_plugin"
"""

BUGS: list[Any] = []


def bug(hook: str, caught_by: str) -> Callable[[Callable[[Hook], Hook]], None]:
    """Register a bug: a function from the honest hook to the one with the bug."""

    def register(alter: Callable[[Hook], Hook]) -> None:
        BUGS.append(pytest.param(hook, alter, caught_by, id=f"{hook}-{alter.__name__}"))

    return register


def on_arrays(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Hook], Hook]:
    """A bug of `tensor_to_numpy` that changes the array of every tensor."""

    def alter(honest: Hook) -> Hook:
        def tensor_to_numpy(tensor):
            array = honest(tensor)
            return None if array is None else change(array)

        return tensor_to_numpy

    alter.__name__ = change.__name__
    return alter


def on_parameters(change: Callable[[list], list]) -> Callable[[Hook], Hook]:
    """A bug of `iter_parameters` that changes the list of parameters."""

    def alter(honest: Hook) -> Hook:
        def iter_parameters(net):
            found = honest(net)
            return None if found is None else change(list(found))

        return iter_parameters

    alter.__name__ = change.__name__
    return alter


def on_layers(change: Callable[[list], list]) -> Callable[[Hook], Hook]:
    """A bug of `iter_layers` that changes the list of layers."""

    def alter(honest: Hook) -> Hook:
        def iter_layers(net):
            found = honest(net)
            return None if found is None else change(list(found))

        return iter_layers

    alter.__name__ = change.__name__
    return alter


def on_each_parameter(change: Callable[[Any], dict[str, Any]]) -> Callable[[Hook], Hook]:
    """A bug of `iter_parameters` that says something else of a parameter."""

    def each(parameters: list) -> list:
        return [dataclasses.replace(parameter, **change(parameter)) for parameter in parameters]

    each.__name__ = change.__name__
    return on_parameters(each)


def on_each_rule(change: Callable[[LayerRule], dict[str, Any]]) -> Callable[[Hook], Hook]:
    """A bug of `layer_rules` that says something else of a layer."""

    def alter(honest: Hook) -> Hook:
        return lambda: [dataclasses.replace(rule, **change(rule)) for rule in honest()]

    alter.__name__ = change.__name__
    return alter


def swapped(rule: LayerRule, one: str, other: str) -> dict[str, Any]:
    exchange = {one: other, other: one}
    norm = "norm" in rule.kind and {one, other} <= set(rule.roles.values())
    return {"roles": {local: exchange.get(role, role) for local, role in rule.roles.items()}} if norm else {}


# tensor_to_numpy


@bug("tensor_to_numpy", "test_to_numpy")
@on_arrays
def float32_for_bfloat16(array):
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


@bug("tensor_to_numpy", "test_to_numpy")
@on_arrays
def half_the_integer(array):
    return array.astype(np.int32) if array.dtype == np.int64 else array


@bug("tensor_to_numpy", "test_to_numpy")
@on_arrays
def no_scalars(array):
    return np.atleast_1d(array)


@bug("tensor_to_numpy", "test_to_numpy_special_values")
@on_arrays
def tidy_nan(array):
    return np.where(array != array, np.float32(np.nan), array) if array.dtype == np.float16 else array


@bug("tensor_to_numpy", "test_to_numpy_views")
@on_arrays
def strides_forgotten(array):
    return array.T.reshape(array.shape) if array.flags.f_contiguous and array.ndim == 2 else array


@bug("tensor_to_numpy", "test_to_numpy_shares_memory")
@on_arrays
def needless_copy(array):
    return array.copy()


@bug("tensor_to_numpy", "test_to_numpy_without_dense_array")
def sparse_made_dense(honest):
    def tensor_to_numpy(tensor):
        sparse = isinstance(tensor, torch.Tensor) and tensor.layout is torch.sparse_coo
        return tensor.to_dense().numpy() if sparse else honest(tensor)

    return tensor_to_numpy


@bug("tensor_to_numpy", "test_strangers")
def a_stranger_is_an_error(honest):
    def tensor_to_numpy(tensor):
        array = honest(tensor)
        if array is None:
            raise TypeError(f"not a torch.Tensor: {tensor!r}")
        return array

    return tensor_to_numpy


@bug("tensor_to_numpy", "test_namesakes")
def told_by_the_name_alone(honest):
    def tensor_to_numpy(tensor):
        return np.zeros(0) if type(tensor).__name__ == "Tensor" and honest(tensor) is None else honest(tensor)

    return tensor_to_numpy


# tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy_copies")
def shares_the_array(honest):
    def tensor_from_numpy(array, framework):
        plain = framework == "torch" and array.dtype == np.float32 and array.flags.c_contiguous
        return torch.from_numpy(array) if plain else honest(array, framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy")
def byte_order_ignored(honest):
    def tensor_from_numpy(array, framework):
        return honest(array.view(array.dtype.newbyteorder("=")), framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy")
def everything_is_float32(honest):
    def tensor_from_numpy(array, framework):
        return honest(array.astype(np.float32) if array.dtype == np.float64 else array, framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy_unknown_dtype")
def text_becomes_zeros(honest):
    def tensor_from_numpy(array, framework):
        return honest(np.zeros(array.shape) if array.dtype.kind == "U" else array, framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_other_frameworks")
def answers_for_others(honest):
    def tensor_from_numpy(array, framework):
        return honest(array, "torch")

    return tensor_from_numpy


# iter_layers


@bug("iter_layers", "test_layers")
@on_layers
def network_left_out(layers):
    return layers[1:]


@bug("iter_layers", "test_layers")
@on_layers
def shared_layer_once(layers):
    return list({id(layer.layer): layer for layer in reversed(layers)}.values())[::-1]


@bug("iter_layers", "test_layers")
@on_layers
def layers_by_name(layers):
    return sorted(layers, key=lambda layer: layer.path)


@bug("iter_layers", "test_layers")
@on_layers
def container_left_out(layers):
    return [layer for layer in layers if not isinstance(layer.layer, torch.nn.Sequential)]


@bug("iter_layers", "test_layers")
@on_layers
def only_paths(layers):
    return [(layer.path, layer.layer) for layer in layers]


@bug("iter_layers", "test_strangers")
def everything_is_a_layer(honest):
    def iter_layers(net):
        found = honest(net)
        return [] if found is None else found

    return iter_layers


# iter_parameters


@bug("iter_parameters", "test_parameters")
@on_parameters
def alphabetical_order(parameters):
    return sorted(parameters, key=lambda parameter: parameter.path)


@bug("iter_parameters", "test_parameters")
@on_parameters
def dropped_buffer(parameters):
    return [parameter for parameter in parameters if parameter.trainable]


@bug("iter_parameters", "test_parameters")
@on_parameters
def tied_only_once(parameters):
    return list({id(parameter.tensor): parameter for parameter in reversed(parameters)}.values())[::-1]


@bug("iter_parameters", "test_nets_show_the_features")
@on_each_parameter
def tie_not_told(parameter):
    return {"tensor": parameter.tensor.detach()}


@bug("iter_parameters", "test_nets_show_the_features")
@on_each_parameter
def everything_is_trainable(parameter):
    return {"trainable": True}


@bug("iter_parameters", "test_parameters")
@on_each_parameter
def path_of_the_layer_above(parameter):
    return {"path": parameter.path.partition(".")[2] or parameter.path, "name": parameter.path}


@bug("iter_parameters", "test_raw_parameters")
@on_each_parameter
def trainable_as_a_number(parameter):
    return {"trainable": int(parameter.trainable)}


@bug("iter_parameters", "test_raw_parameters")
@on_parameters
def only_pairs(parameters):
    return [(parameter.path, parameter.tensor) for parameter in parameters]


@bug("iter_parameters", "test_raw_parameters")
@on_each_parameter
def path_without_the_layer(parameter):
    return {"path": parameter.path.rpartition(".")[2], "name": parameter.path}


# load_parameters


@bug("load_parameters", "test_load")
def buffers_not_loaded(honest):
    def load_parameters(net, arrays):
        return honest(net, {path: array for path, array in arrays.items() if "running" not in path})

    return load_parameters


@bug("load_parameters", "test_load")
def memory_order_ignored(honest):
    def load_parameters(net, arrays):
        return honest(net, {path: a.ravel("K").reshape(a.shape) for path, a in arrays.items()})

    return load_parameters


@bug("load_parameters", "test_load")
def answers_nothing(honest):
    def load_parameters(net, arrays):
        honest(net, arrays)

    return load_parameters


@bug("load_parameters", "test_load")
def answers_the_names(honest):
    def load_parameters(net, arrays):
        return None if honest(net, arrays) is None else list(arrays)

    return load_parameters


@bug("load_parameters", "test_load_some")
def what_is_not_given_becomes_zero(honest):
    def load_parameters(net, arrays):
        if isinstance(net, torch.nn.Module):
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.zero_()
        return honest(net, arrays)

    return load_parameters


@bug("load_parameters", "test_load_copies")
def keeps_the_arrays(honest):
    def load_parameters(net, arrays):
        answer = honest(net, arrays)
        for path, parameter in net.named_parameters() if answer else ():
            if parameter.dtype == torch.float32 and arrays[path].flags.writeable:
                parameter.data = torch.from_numpy(arrays[path])
        return answer

    return load_parameters


@bug("load_parameters", "test_strangers")
def loads_into_strangers(honest):
    def load_parameters(net, arrays):
        return honest(net, arrays) or net or "a stranger"

    return load_parameters


# layer_rules


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def mean_and_variance_swapped(rule):
    return swapped(rule, "mean", "variance")


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def scale_and_bias_swapped(rule):
    return swapped(rule, "scale", "bias")


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def transposed_kernel(rule):
    return {"layout": {"weight": Transpose((1, 0))}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_layer_computes_its_kind")
@on_each_rule
def channels_last(rule):
    return {"layout": {"weight": Transpose((2, 3, 1, 0))}} if rule.kind == "conv2d" else {}


@bug("layer_rules", "test_layer")
@on_each_rule
def every_convolution_is_flat(rule):
    return {"kind": "conv2d"} if rule.kind.startswith("conv") else {}


class OneWay(InsertAxis):
    """A layout whose inverse forgets which axis it was."""

    def inverse(self):
        return Transpose((1, 0))


@bug("layer_rules", "test_layout_is_invertible")
@on_each_rule
def layout_without_a_way_back(rule):
    return {"layout": {"weight": OneWay(0)}} if rule.kind == "embedding" else {}


@bug("layer_rules", "test_rules")
@on_each_rule
def misspelt_kind(rule):
    return {"kind": "liner"} if rule.kind == "linear" else {}


@bug("layer_rules", "test_rules")
@on_each_rule
def misspelt_role(rule):
    return {"roles": {"weight": "wieght", "bias": "bias"}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_rules")
@on_each_rule
def setting_of_another_kind(rule):
    return {"settings": {"eps": "eps"}} if rule.kind == "linear" else {}


@bug("layer_rules", "test_every_rule_has_a_case")
def rule_of_another_kind(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linear", "conv2d", {"weight": "weight"})]


@bug("layer_rules", "test_rules")
def a_role_twice(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linear", "linear", {"weight": "weight", "w": "weight"})]


@bug("layer_rules", "test_rules")
def a_layout_for_nothing(honest):
    return lambda: [*honest(), LayerRule("torch.nn.Linear", "linear", {"weight": "weight"}, {"kernel": InsertAxis(0)})]


@bug("layer_rules", "test_every_class_has_a_rule")
def a_rule_is_missing(honest):
    return lambda: [rule for rule in honest() if rule.kind != "layer_norm"]


# framework_info


@bug("framework_info", "test_info")
def networks_not_claimed(honest):
    return lambda: dataclasses.replace(honest(), classes=("torch.Tensor",))


@bug("framework_info", "test_is_registered")
def written_for_a_newer_contract(honest):
    return lambda: dataclasses.replace(honest(), contract=10_000)


@bug("framework_info", "test_is_registered")
def framework_not_installed(honest):
    return lambda: dataclasses.replace(honest(), distribution="a-framework-nobody-has")


# gradients


@bug("extract_gradients", "test_gradients")
def wrong_sign(honest):
    def extract_gradients(source, net):
        found = honest(source, net)
        return found and {name: None if gradient is None else -gradient for name, gradient in found.items()}

    return extract_gradients


@bug("extract_gradients", "test_gradients")
def one_place_further(honest):
    def extract_gradients(source, net):
        found = honest(source, net)
        return found and dict(zip(found, [*list(found.values())[1:], next(iter(found.values()))], strict=True))

    return extract_gradients


@bug("extract_gradients", "test_gradients_of_strangers")
def gradients_from_nowhere(honest):
    def extract_gradients(source, net):
        found = honest(source, net)
        return {} if found is None else found

    return extract_gradients


@bug("on_gradient", "test_on_gradient")
def never_calls_back(honest):
    def on_gradient(tensor, callback):
        return honest(tensor, lambda gradient: None)

    return on_gradient


@bug("on_gradient", "test_on_gradient")
def calls_back_twice(honest):
    def on_gradient(tensor, callback):
        return honest(honest(tensor, callback), callback)

    return on_gradient


@bug("on_gradient", "test_on_gradient")
def doubles_the_gradient(honest):
    def on_gradient(tensor, callback):
        watched = honest(tensor, callback)
        return None if watched is None else watched * 2 - watched.detach()

    return on_gradient


# files, randomness


@bug("framework_info", "test_foreign_files")
def takes_any_file_for_its_own(honest):
    formats = (dataclasses.replace(format, sniff=lambda source: True) for format in honest().formats)
    info = dataclasses.replace(honest(), formats=tuple(formats))
    return lambda: info


@bug("seed", "test_seed")
def seed_ignored(honest):
    def seed(seed):
        return None

    return seed


def altered(name: str, hook: Hook, *, marked: bool = True) -> types.ModuleType:
    """The PyTorch plug-in with one hook replaced."""
    import ts_torch

    module = types.ModuleType("altered_plugin")
    vars(module).update({key: value for key, value in vars(ts_torch).items() if not key.startswith("__")})
    setattr(module, name, hookimpl(hook) if marked else hook)
    return module


class Reports:
    """Collects what became of each test of an inner run."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.append(report.nodeid.rpartition("::")[2])
        if report.failed:
            self.failures.append(str(report.longrepr))


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable[..., Reports]:
    """Runs tests of the suite on a plug-in module, in this process."""
    file = tmp_path / "test_altered.py"
    file.write_text(textwrap.dedent(RUN_SUITE))
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tmp_path / "altered_plugin.py").write_text("from ts_torch import *")  # what a new interpreter imports
    monkeypatch.syspath_prepend(tmp_path)

    def run(module: types.ModuleType, *tests: str) -> Reports:
        monkeypatch.setitem(sys.modules, "altered_plugin", module)
        registry = PluginRegistry([importlib.metadata.EntryPoint("torch", "altered_plugin", GROUP)])
        monkeypatch.setattr("ts_core.frameworks._registry._current", registry)
        reports = Reports()
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-p", "no:hypothesispytest"]
        chosen = " or ".join(f"{test}[ or {test} and not {test}_" for test in tests)
        pytest.main([*options, "-k", chosen, str(file)], plugins=[reports])
        return reports

    return run


@pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
@pytest.mark.parametrize(("hook", "alter", "caught_by"), BUGS)
def test_the_suite_catches(hook, alter, caught_by, suite):
    import ts_torch

    (failure,) = suite(altered(hook, alter(getattr(ts_torch, hook))), caught_by).failures
    assert failure.startswith("broken promise: ")


@pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
def test_the_suite_catches_a_hook_without_its_mark(suite):
    (failure,) = suite(altered("seed", lambda seed: None, marked=False), "test_is_registered").failures
    assert "seed is marked with @hookimpl" in failure


@pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
def test_a_plugin_whose_framework_info_has_no_mark_is_not_used(suite):
    import ts_torch

    unmarked = altered("framework_info", lambda: ts_torch.framework_info(), marked=False)
    (failure,) = suite(unmarked, "test_is_registered").failures
    assert "framework_info is not marked with @hookimpl" in failure


def test_the_suite_catches_an_eager_import(suite, tmp_path):
    import ts_torch

    (tmp_path / "altered_plugin.py").write_text("import torch\nfrom ts_torch import *")
    (failure,) = suite(altered("seed", ts_torch.seed), "test_import_is_light").failures
    assert "importing the plug-in imports no framework" in failure


def test_every_test_that_catches_a_bug_passes_without_it(suite):
    import ts_torch

    tests = {parameters.values[2] for parameters in BUGS}
    reports = suite(altered("seed", ts_torch.seed), *tests)
    assert {test.partition("[")[0] for test in reports.passed} == tests
    assert not reports.failures
