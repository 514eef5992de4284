"""What plug-ins import of the core is the contract, and what it says is what the core does."""

import ast
import dataclasses
import importlib.metadata
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract import FrameworkInfo, Layer, RawParameter, hookimpl, layers
from ts_core.contract.layers import KINDS, Kind
from ts_core.contract.nouns import LayerRule, TensorInfo
from ts_core.contract.transforms import Transpose
from ts_core.frameworks._registry import PluginRegistry
from ts_core.mapping._inference import dimension, read_layers
from ts_core.mapping._units import family
from ts_core.testing import DEFINITIONS, vocabulary

ROOT = Path(__file__).parents[2]
FOLDERS = ("ts_torch/src", "ts_mindspore/src", "examples/ts_jax/src")
PAGES = ("docs/writing-a-plugin.md", "docs/writing-a-format.md")


def sources() -> dict[str, str]:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths}
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for name, code in re.findall(r"^```python\n# (\S+/src/\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            found[f"{page}: {name}"] = code
    return found


@pytest.mark.parametrize("name", sources())
def test_a_plugin_imports_the_contract_and_nothing_else_of_the_core(name):
    imported = set()
    for node in ast.walk(ast.parse(sources()[name])):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.update({node.module} if node.module != "ts_core" else {f"ts_core.{a.name}" for a in node.names})
    ours = {module for module in imported if module.partition(".")[0] == "ts_core"}
    assert {module for module in ours if not f"{module}.".startswith("ts_core.contract.")} == set()


NETWORKS = """
    import numpy as np
    from ts_core.contract import FrameworkInfo, Layer, LayerRule, RawParameter, is_instance
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.transforms import Transpose

    @hookimpl
    def framework_info():
        return FrameworkInfo("tiny", "numpy", classes=("tiny.Net", "tiny.Tensor"))

    @hookimpl
    def tensor_to_numpy(tensor):
        return tensor.data if is_instance(tensor, "tiny.Tensor") else None

    @hookimpl
    def layer_rules():
        return [LayerRule("tiny.Dense", "linear", {"kernel": "weight"}, {"weight": Transpose((1, 0))})]

    @hookimpl
    def iter_layers(net):
        return net.layers if is_instance(net, "tiny.Net") else None

    @hookimpl
    def iter_parameters(net):
        return net.parameters if is_instance(net, "tiny.Net") else None

    @hookimpl
    def load_parameters(net, arrays):
        net.loaded = dict(arrays)
        return net.answer
"""


class Tensor:
    """Says nothing of itself: shape and dtype are known by its array."""

    def __init__(self, data):
        self.data = np.asarray(data)


class Spelled(Tensor):
    """Says it as frameworks do, and has no data."""

    def __init__(self, dtype):
        self.shape, self.dtype = [2, 3], dtype


class Net:
    pass


for made_up in (Tensor, Spelled, Net):
    made_up.__module__ = "tiny"
Dense = type("Dense", (), {"__module__": "tiny"})


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A network of a framework made up, with the layers and parameters that a test gives it."""
    from ts_core.frameworks._registry import GROUP

    (tmp_path / "plugin_tiny.py").write_text(textwrap.dedent(NETWORKS))
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("tiny", "plugin_tiny", GROUP)
    monkeypatch.setattr("ts_core.frameworks._registry._current", PluginRegistry([entry]))
    net = Net()
    kernel, count = Tensor(np.zeros((3, 2), np.float32)), Tensor(np.zeros(2, np.int64))
    net.layers = [Layer("", net), Layer("one", Dense()), Layer("two", Dense())]
    net.parameters = [
        RawParameter("one.kernel", kernel, name="k1"),
        RawParameter("count", count, trainable=False),
        RawParameter("two.kernel", kernel, name="k2"),
        RawParameter("cache", Tensor(np.zeros(1)), persistent=False),
    ]
    net.answer = net
    yield net
    sys.modules.pop("plugin_tiny", None)


def test_the_core_adds_what_the_facts_and_the_rules_say(net):
    first, count, second, cache = ts.parameters(net)
    assert (first.name, first.path, first.layer, first.kind, first.role) == (
        "k1",
        "one.kernel",
        "one",
        "linear",
        "weight",
    )
    assert (first.shape, first.dtype, first.layout, first.tied_to) == ((3, 2), np.float32, Transpose((1, 0)), None)
    assert (second.layer, second.tied_to, second.value is first.value) == ("two", "k1", True)
    assert (count.name, count.layer, count.kind, count.trainable, count.dtype) == ("count", "", None, False, np.int64)
    assert not cache.persistent


@pytest.mark.parametrize(
    ("spelled", "dtype"),
    [
        ("torch.float8_e4m3fn", "float8_e4m3fn"),
        ("Float8E4M3FN", "float8_e4m3fn"),
        ("BFloat16", "bfloat16"),
        ("torch.bool", "bool"),
        ("UInt16", "uint16"),
        ("complex64", "complex64"),
    ],
)
def test_dtypes_are_known_however_a_framework_spells_them(net, spelled, dtype):
    net.parameters = [RawParameter("x", Spelled(spelled))]
    (parameter,) = ts.parameters(net)
    assert (parameter.shape, parameter.dtype.name) == ((2, 3), dtype)


def test_a_tensor_is_loaded_once_under_its_first_place_in_its_own_dtype(net):
    result = ts.load_parameters(net, {"k2": np.ones((3, 2)), "count": np.array([1.0, 2.0])})
    assert result.loaded == ("count", "k2")
    assert result.network is net
    assert list(net.loaded) == ["count", "one.kernel"]
    assert {path: array.dtype.name for path, array in net.loaded.items()} == {"count": "int64", "one.kernel": "float32"}


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"k1": np.zeros((3, 2))}, {"missing": ("count",)}),
        ({"k1": np.zeros((3, 2)), "count": np.zeros(2), "x": np.zeros(1)}, {"unexpected": ("x",)}),
        ({"k1": np.zeros((2, 3)), "count": np.zeros(2)}, {"mismatched": {"k1": ((3, 2), (2, 3))}}),
        ({"k1": np.zeros((3, 2)), "count": np.zeros(2), "cache": np.zeros(1)}, {"unexpected": ("cache",)}),
    ],
)
def test_what_does_not_fit_is_told_and_a_strict_load_asks_no_plugin(net, arrays, told):
    with pytest.raises(ts.errors.LoadError, match="unchanged"):
        ts.load_parameters(net, arrays)
    assert not hasattr(net, "loaded")
    result = ts.load_parameters(net, arrays, strict=False)
    assert not result
    assert {name: getattr(result, name) for name in told} == told
    fitting = {"one.kernel", "count"} - {"count"} if "count" not in arrays else {"one.kernel", "count"}
    assert set(net.loaded) == fitting - ({"one.kernel"} if "mismatched" in told else set())


def test_a_network_that_cannot_change_is_answered(net):
    net.answer = Net()
    arrays = {"k1": np.zeros((3, 2)), "count": np.zeros(2)}
    assert ts.load_parameters(net, arrays).network is net.answer


def test_an_answer_that_breaks_the_contract_names_the_plugin_and_the_hook(net):
    net.answer = None
    with pytest.raises(ts.errors.PluginError, match="'tiny' does not load parameters into a Net"):
        ts.load_parameters(net, {}, strict=False)
    net.layers = [("", net)]
    with pytest.raises(ts.errors.PluginError, match=r"'tiny': iter_layers yielded .* not a Layer"):
        ts.parameters(net)
    net.layers, net.parameters = [], [("x", 1)]
    with pytest.raises(ts.errors.PluginError, match=r"'tiny': iter_parameters yielded .* not a RawParameter"):
        ts.parameters(net)


def test_the_kinds_that_are_defined_are_kinds():
    assert set(DEFINITIONS) <= set(KINDS)


def test_the_vocabulary_is_shown_whole():
    shown = vocabulary()
    for kind in KINDS.values():
        assert f"`{kind.name}`" in shown
        assert all(f"`{name}" in shown for name in kind.settings)
    assert "| `momentum` | share of the new value" in shown


def test_roles_of_numbered_layers_and_of_gates_are_known():
    assert KINDS["lstm"].knows("weight_ih_l31_reverse")
    assert KINDS["lstm_cell"].knows("bias_hh.o")
    assert not KINDS["lstm_cell"].knows("bias_hh.r")
    assert not KINDS["gru"].knows("weight_hr_l0")


def test_a_kind_that_is_added_to_the_vocabulary_is_known_to_inference_and_matching(monkeypatch):
    added = Kind("conv4d", "conv", {"weight": layers.REQUIRED, "bias": layers.OPTIONAL}, rank=6, dimensions=4)
    monkeypatch.setitem(KINDS, "conv4d", added)
    rule = LayerRule("made.up.Conv4d", "conv4d", {"weight": "weight", "bias": "bias"})
    shapes = {"a.weight": (2, 3, 1, 1, 1, 1), "a.bias": (2,), "b.weight": (2, 3, 1)}
    index = {name: TensorInfo(name, shape, np.dtype("f4"), 4) for name, shape in shapes.items()}
    assert [[kind.kind for kind in reading.kinds] for reading in read_layers(index, [rule])] == [["conv4d"], []]
    assert (family("conv4d"), dimension("conv4d")) == ("conv", 4)
    assert "`conv4d`" in vocabulary()


def test_the_page_on_plugins_shows_the_vocabulary_as_it_is():
    page = (ROOT / "docs" / "writing-a-plugin.md").read_text("utf-8")
    assert f"\n\n{vocabulary()}\n" in page


def test_names_in_files_are_made_by_the_rule_and_the_framework(net, monkeypatch):
    plugin = sys.modules["plugin_tiny"]
    rule = LayerRule("tiny.Dense", "linear", {"kernel": "weight"}, file_names={"kernel": "vars/0"})
    info = FrameworkInfo("tiny", "numpy", classes=("tiny.Net",), file_name=lambda *parts: "/".join(parts))
    monkeypatch.setattr(plugin, "layer_rules", hookimpl(lambda: [rule]))
    monkeypatch.setattr(plugin, "framework_info", hookimpl(lambda: info))
    entry = importlib.metadata.EntryPoint("tiny", "plugin_tiny", "ts_core")
    monkeypatch.setattr("ts_core.frameworks._registry._current", PluginRegistry([entry]))
    kernel = Tensor(np.zeros((3, 2)))
    net.parameters = [RawParameter("one.kernel", kernel), RawParameter("one.x", Tensor(np.zeros(1)))]
    assert [p.name for p in ts.parameters(net)] == ["one/vars/0", "one/x"]
    monkeypatch.setattr(plugin, "framework_info", hookimpl(lambda: dataclasses.replace(info, file_name="x/")))
    with pytest.warns(ts.errors.PluginWarning, match="file_name is 'x/', not a function"):
        PluginRegistry([entry])


def test_a_tied_tensor_that_the_framework_writes_once_has_one_name(net, tmp_path):
    kernel = Tensor(np.ones((3, 2), np.float32))
    net.parameters = [RawParameter("one.kernel", kernel, name="k"), RawParameter("two.kernel", kernel, name="k")]
    assert [(p.name, p.path, p.tied_to) for p in ts.parameters(net)] == [
        ("k", "one.kernel", None),
        ("k", "two.kernel", "k"),
    ]
    ts.save_checkpoint(net, tmp_path / "x.safetensors")
    assert list(ts.open_checkpoint(tmp_path / "x.safetensors")) == ["k"]
    assert ts.load_parameters(net, {"k": np.zeros((3, 2))}).loaded == ("k",)
    assert list(net.loaded) == ["one.kernel"]
    assert ts.transfer({"k": np.zeros((3, 2), np.float32)}, net)


def test_a_transfer_answers_the_network_that_holds_the_weights(net):
    net.answer = Net()
    net.parameters = net.parameters[:1]
    report = ts.transfer({"one.weight": np.zeros((2, 3), np.float32)}, net)
    assert report.network is net.answer
    assert "network" not in report.to_json()


def test_a_network_that_makes_its_parameters_later_says_so(net):
    net.parameters = []
    for ask in (ts.parameters, lambda net: ts.transfer({"x": np.zeros(1)}, net)):
        with pytest.raises(ts.errors.NotBuiltError, match=r"no parameters yet.*'one' is a linear: build the network"):
            ask(net)
    net.layers = [Layer("", net)]
    assert ts.parameters(net) == []
