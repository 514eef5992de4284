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
from ts_core.contract.nouns import LayerRule, LoadResult
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


def on_each_parameter(change: Callable[[Any], dict[str, Any]]) -> Callable[[Hook], Hook]:
    """A bug of `iter_parameters` that says something else of a parameter."""

    def each(parameters: list) -> list:
        return [dataclasses.replace(parameter, **change(parameter)) for parameter in parameters]

    each.__name__ = change.__name__
    return on_parameters(each)


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


# iter_parameters


@bug("iter_parameters", "test_parameters")
@on_parameters
def alphabetical_order(parameters):
    return sorted(parameters, key=lambda parameter: parameter.name)


@bug("iter_parameters", "test_parameters")
@on_parameters
def dropped_buffer(parameters):
    return [parameter for parameter in parameters if parameter.trainable]


@bug("iter_parameters", "test_parameters")
@on_parameters
def tied_only_once(parameters):
    return [parameter for parameter in parameters if parameter.tied_to is None]


@bug("iter_parameters", "test_nets_show_the_features")
@on_each_parameter
def tie_not_told(parameter):
    return {"tied_to": None}


@bug("iter_parameters", "test_nets_show_the_features")
@on_each_parameter
def everything_is_trainable(parameter):
    return {"trainable": True}


@bug("iter_parameters", "test_parameters")
@on_each_parameter
def layer_of_the_layer(parameter):
    return {"layer": parameter.layer.rpartition(".")[0]}


@bug("iter_parameters", "test_parameters_match_their_values")
@on_each_parameter
def dtype_of_the_default(parameter):
    return {"dtype": np.dtype(np.float32)}


@bug("iter_parameters", "test_parameters_match_their_values")
@on_each_parameter
def shape_of_the_transpose(parameter):
    return {"shape": parameter.shape[::-1]}


@bug("iter_parameters", "test_layer_computes_its_kind")
@on_each_parameter
def mean_and_variance_swapped(parameter):
    return {"role": {"mean": "variance", "variance": "mean"}.get(parameter.role, parameter.role)}


@bug("iter_parameters", "test_layer_computes_its_kind")
@on_each_parameter
def scale_and_bias_swapped(parameter):
    norm = "norm" in (parameter.kind or "")
    return {"role": {"scale": "bias", "bias": "scale"}[parameter.role]} if norm and parameter.trainable else {}


@bug("iter_parameters", "test_layer_computes_its_kind")
@on_each_parameter
def transposed_kernel(parameter):
    return {"layout": Transpose((1, 0))} if parameter.kind == "linear" and parameter.role == "weight" else {}


@bug("iter_parameters", "test_layer_computes_its_kind")
@on_each_parameter
def channels_last(parameter):
    return {"layout": Transpose((2, 3, 1, 0))} if parameter.kind == "conv2d" and parameter.role == "weight" else {}


@bug("iter_parameters", "test_layer")
@on_each_parameter
def every_convolution_is_flat(parameter):
    return {"kind": "conv2d"} if (parameter.kind or "").startswith("conv") else {}


class OneWay(InsertAxis):
    """A layout whose inverse forgets which axis it was."""

    def inverse(self):
        return Transpose((1, 0))


@bug("iter_parameters", "test_layout_is_invertible")
@on_each_parameter
def layout_without_a_way_back(parameter):
    return {"layout": OneWay(0)} if parameter.kind == "embedding" else {}


# load_parameters


@bug("load_parameters", "test_load")
def buffers_not_loaded(honest):
    def load_parameters(net, tensors, strict):
        kept = {name: array for name, array in tensors.items() if "running" not in name}
        result = honest(net, kept, False)
        return result and dataclasses.replace(result, loaded=tuple(tensors), missing=())

    return load_parameters


@bug("load_parameters", "test_load")
def memory_order_ignored(honest):
    def load_parameters(net, tensors, strict):
        return honest(net, {n: a.ravel("K").reshape(a.shape) for n, a in tensors.items()}, strict)

    return load_parameters


@bug("load_parameters", "test_load_copies")
def keeps_the_arrays(honest):
    def load_parameters(net, tensors, strict):
        result = honest(net, tensors, strict)
        if result:
            for name, parameter in net.named_parameters():
                if tensors[name].dtype == np.float32:
                    parameter.data = torch.from_numpy(tensors[name])
        return result

    return load_parameters


@bug("load_parameters", "test_load_casts")
def takes_the_dtype_of_the_array(honest):
    def load_parameters(net, tensors, strict):
        result = honest(net, tensors, strict)
        if result:
            for name, parameter in net.named_parameters():
                if tensors[name].dtype == np.float64:
                    parameter.data = parameter.data.double()
        return result

    return load_parameters


@bug("load_parameters", "test_load_strict")
def loads_before_it_checks(honest):
    def load_parameters(net, tensors, strict):
        return honest(net, tensors, False)

    return load_parameters


@bug("load_parameters", "test_load_strict")
def unexpected_not_told(honest):
    def load_parameters(net, tensors, strict):
        result = honest(net, tensors, strict)
        return result if result is None else dataclasses.replace(result, unexpected=())

    return load_parameters


@bug("load_parameters", "test_load_strict")
def strict_whatever_is_asked(honest):
    def load_parameters(net, tensors, strict):
        return honest(net, tensors, True)

    return load_parameters


@bug("load_parameters", "test_strangers")
def loads_into_strangers(honest):
    def load_parameters(net, tensors, strict):
        result = honest(net, tensors, strict)
        return LoadResult(()) if result is None else result

    return load_parameters


# layer_rules


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
