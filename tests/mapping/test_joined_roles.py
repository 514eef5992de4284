"""One array that holds several roles: a made-up framework keeps both biases of a GRU as (2, 3 units), its gates z r n.

And a framework that has one recurrent layer where the other has a cell, or three layers of one for one of three.
"""

import importlib.metadata
import sys
import textwrap

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract import Layer, RawParameter
from ts_core.errors import PluginError, WeightMapError
from ts_core.testing import DEFINITIONS

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
nn, msnn = torch.nn, mindspore.nn

PLUGIN = """
    import numpy as np
    from ts_core.contract import FrameworkInfo, LayerRule, is_instance
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.transforms import Chain, Concatenate, Each, InsertAxis, ReorderBlocks, Transpose

    ZRN = ReorderBlocks(0, (1, 0, 2))
    KERNEL = Chain((ZRN, Transpose((1, 0))))
    BIASES = Chain((Each(ZRN), Each(InsertAxis(0)), Concatenate(0, (1, 1))))

    @hookimpl
    def framework_info():
        return FrameworkInfo("tiny", "numpy", classes=("tiny.Net",))

    @hookimpl
    def tensor_to_numpy(tensor):
        return tensor.data if is_instance(tensor, "tiny.Tensor") else None

    @hookimpl
    def layer_rules():
        both = ("bias_ih", "bias_hh")
        return [
            LayerRule(
                "tiny.Gru",
                "gru_cell",
                {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": both},
                {"weight_ih": KERNEL, "weight_hh": KERNEL, both: BIASES},
            ),
            LayerRule("tiny.Unjoined", "gru_cell", {"bias": both}),
        ]

    @hookimpl
    def iter_layers(net):
        return net.layers if is_instance(net, "tiny.Net") else None

    @hookimpl
    def iter_parameters(net):
        return net.parameters if is_instance(net, "tiny.Net") else None

    @hookimpl
    def load_parameters(net, arrays):
        for parameter in net.parameters:
            parameter.tensor.data[...] = arrays[parameter.path]
        return net
"""


class Tensor:
    def __init__(self, data):
        self.data = np.asarray(data)


class Net:
    """A network with a GRU at each of these paths: features → units."""

    def __init__(self, **grus):
        rng = np.random.default_rng(3)
        self.layers, self.parameters = [Layer("", self)], []
        for path, (features, units) in grus.items():
            self.layers.append(Layer(path, Gru()))
            shapes = {"kernel": (features, 3 * units), "recurrent_kernel": (units, 3 * units), "bias": (2, 3 * units)}
            self.parameters += [
                RawParameter(f"{path}.{name}", Tensor(rng.standard_normal(shape).astype("f")))
                for name, shape in shapes.items()
            ]

    def values(self):
        return {parameter.path: parameter.tensor.data for parameter in self.parameters}


Gru, Unjoined = (type(name, (), {"__module__": "tiny"}) for name in ("Gru", "Unjoined"))
Tensor.__module__ = Net.__module__ = "tiny"


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    """The plug-in of the made-up framework, beside those that are installed."""
    from ts_core.frameworks._registry import GROUP, PluginRegistry

    (tmp_path / "tiny_joining.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        importlib.metadata.EntryPoint("tiny", "tiny_joining", GROUP),
        *importlib.metadata.entry_points(group=GROUP),
    ]
    monkeypatch.setattr("ts_core.frameworks._registry._current", PluginRegistry(entries))
    yield
    sys.modules.pop("tiny_joining", None)


def torch_net(**layers):
    net = nn.Module()
    for name, layer in layers.items():
        setattr(net, name, layer)
    return net


def mindspore_net(**layers):
    net = msnn.Cell()
    for name, layer in layers.items():
        setattr(net, name, layer)
    return net


def canonical(gru: dict[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    """The roles of a tiny GRU, by hand."""
    z, r, n = np.split(
        np.concatenate([gru[f"{path}.kernel"], gru[f"{path}.recurrent_kernel"], gru[f"{path}.bias"]]), 3, 1
    )
    rows = np.concatenate([r, z, n], 1)
    features = len(gru[f"{path}.kernel"])
    return {
        "weight_ih": rows[:features].T,
        "weight_hh": rows[features:-2].T,
        "bias_ih": rows[-2],
        "bias_hh": rows[-1],
    }


def test_a_parameter_tells_all_its_roles_and_how_they_are_joined():
    bias = ts.parameters(Net(gru=(3, 4)))[2]
    assert bias.role == ("bias_ih", "bias_hh")
    assert bias.layout.inverse().shapes(bias.shape) == ((12,), (12,))


@pytest.mark.parametrize(
    "make", [lambda: torch_net(gru=nn.GRUCell(3, 4)), lambda: mindspore_net(gru=msnn.GRUCell(3, 4))]
)
def test_two_tensors_become_one_and_one_becomes_two(make):
    source, other = Net(gru=(3, 4)), make()
    assert ts.transfer(source, other)
    expected = canonical(source.values(), "gru")
    found = {p.role: ts.to_numpy(p.value) for p in ts.parameters(other)}
    assert all(np.array_equal(found[role], expected[role]) for role in expected)
    back = Net(gru=(3, 4))
    for array in back.values().values():
        array[...] = 0
    assert ts.transfer(other, back)
    assert all(np.array_equal(back.values()[name], array) for name, array in source.values().items())
    there, again = ts.weight_map(source, other), ts.weight_map(other, source)
    assert {(e.source, e.target) for e in there} == {(e.target, e.source) for e in again}
    assert {len(e.target) for e in there} == {1, 2}
    assert {(e.source, e.target, e.transform) for e in there.inverse()} == {
        (e.source, e.target, e.transform) for e in again
    }


def test_what_was_moved_computes_the_same():
    source, other = Net(gru=(4, 4)), nn.GRUCell(4, 4)
    ts.transfer(source, torch_net(gru=other))
    roles = canonical(source.values(), "gru")
    x, h = np.random.default_rng(5).standard_normal((2, 3, 4)).astype("f")
    with torch.no_grad():
        computed = other(torch.tensor(x), torch.tensor(h)).numpy()
    np.testing.assert_allclose(DEFINITIONS["gru_cell"].compute(roles, x, h), computed, rtol=1e-4, atol=1e-5)


def test_names_are_translated_both_ways():
    there = ts.weight_map(torch_net(gru=nn.GRUCell(3, 4)), "tiny")
    assert {e.target for e in there} == {("gru.kernel",), ("gru.recurrent_kernel",), ("gru.bias",)}
    assert ("gru.bias_ih", "gru.bias_hh") in {e.source for e in there}
    back = ts.weight_map(Net(gru=(3, 4)), "torch")
    assert {(e.source, e.target, e.transform) for e in back} == {
        (e.source, e.target, e.transform) for e in there.inverse()
    }
    assert {e.target for e in ts.weight_map(Net(gru=(3, 4)), "tiny")} == {e.target for e in there}


def test_a_file_is_read_by_the_same_rule(tmp_path):
    source, other = Net(gru=(3, 4)), torch_net(gru=nn.GRUCell(3, 4))
    np.savez(tmp_path / "tiny.npz", **source.values())
    assert ts.weight_map(tmp_path / "tiny.npz", other).complete
    assert ts.transfer(tmp_path / "tiny.npz", other)
    expected = canonical(source.values(), "gru")
    assert np.array_equal(other.gru.bias_hh.detach().numpy(), expected["bias_hh"])
    names = {e.target for e in ts.weight_map(tmp_path / "tiny.npz", "torch")}
    assert ("gru.bias_ih", "gru.bias_hh") in names


def test_half_of_what_an_array_joins_is_no_partner_of_it():
    source = torch_net(gru=nn.GRUCell(3, 4))
    del source.gru.bias_hh
    source.gru.bias_hh = None
    with pytest.raises(WeightMapError, match=r"gru\.bias"):
        ts.transfer(source, Net(gru=(3, 4)))
    found = ts.weight_map(source, "tiny")
    assert [a.source for a in found.ambiguous] == [("gru.bias_ih",)]


def test_a_joined_role_without_a_layout_is_the_plugins_fault():
    net = Net()
    net.layers.append(Layer("gru", Unjoined()))
    net.parameters.append(RawParameter("gru.bias", Tensor(np.ones((2, 3)))))
    with pytest.raises(PluginError, match=r"tiny\.Unjoined.*bias_ih, bias_hh"):
        ts.parameters(net)


LAYERS = {"rnn": ("RNN", "RNNCell"), "lstm": ("LSTM", "LSTMCell"), "gru": ("GRU", "GRUCell")}


def filled(net):
    generator = torch.Generator().manual_seed(1)
    for tensor in net.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return net


def moved(source, target):
    """The pairs of the map, after a transfer that has to put each array where its entry says."""
    assert ts.transfer(source, target)
    ours, theirs = ({p.name: ts.to_numpy(p.value) for p in ts.parameters(net)} for net in (source, target))
    pairs = {e.source[0]: e.target[0] for e in ts.weight_map(source, target)}
    assert all(np.array_equal(ours[a], theirs[b]) for a, b in pairs.items())
    return pairs


ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_of_one_pairs_with_a_cell(kind):
    layer, cell = LAYERS[kind]
    pairs = moved(filled(torch_net(rnn=getattr(nn, layer)(3, 4))), mindspore_net(rnn=getattr(msnn, cell)(3, 4)))
    assert pairs == {f"rnn.{role}_l0": f"rnn.{role}" for role in ROLES}
    pairs = moved(filled(torch_net(rnn=getattr(nn, cell)(3, 4))), mindspore_net(rnn=getattr(msnn, layer)(3, 4)))
    assert pairs == {f"rnn.{role}": f"rnn.{role}_l0" for role in ROLES}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_stack_pairs_with_layers_of_one(kind, bidirectional):
    layer = LAYERS[kind][0]
    make = getattr(nn, layer)
    stack = filled(
        torch_net(embed=nn.Embedding(9, 3), rnn=make(3, 4, 3, bidirectional=bidirectional), head=nn.Linear(4, 2))
    )
    ways = 2 if bidirectional else 1
    ones = [getattr(msnn, layer)(3 if n == 0 else 4 * ways, 4, bidirectional=bidirectional) for n in range(3)]
    target = mindspore_net(embed=msnn.Embedding(9, 3), rnn=msnn.CellList(ones), head=msnn.Dense(4, 2))
    pairs = moved(stack, target)
    for n in range(3):
        for way in ("", "_reverse")[:ways]:
            for role in ROLES:
                assert pairs[f"rnn.{role}_l{n}{way}"] == f"rnn.{n}.{role}_l0{way}"


def test_a_stack_pairs_with_cells_and_layers_of_one_with_each_other():
    stack = filled(torch_net(rnn=nn.GRU(3, 4, 2)))
    cells = mindspore_net(first=msnn.GRUCell(3, 4), second=msnn.GRUCell(4, 4))
    pairs = moved(stack, cells)
    assert pairs["rnn.weight_hh_l0"] == "first.weight_hh"
    assert pairs["rnn.bias_hh_l1"] == "second.bias_hh"
    pairs = moved(filled(torch_net(a=nn.GRU(3, 4), b=nn.GRU(4, 4))), mindspore_net(a=msnn.GRU(3, 4), b=msnn.GRU(4, 4)))
    assert pairs["b.bias_hh_l0"] == "b.bias_hh_l0"
    units = {e.source[0] for e in ts.weight_map(stack, Net(rnn0=(3, 4), rnn1=(4, 4)))}
    assert units == {f"rnn.{role}_l{n}" for role in ("weight_ih", "weight_hh", "bias_ih") for n in (0, 1)}


def test_a_layer_of_one_is_translated_to_a_cell_where_that_is_all_there_is():
    found = ts.weight_map(torch_net(rnn=nn.GRU(3, 4)), "tiny")
    assert {e.target for e in found} == {("rnn.kernel",), ("rnn.recurrent_kernel",), ("rnn.bias",)}
    found = ts.weight_map(torch_net(rnn=nn.GRU(3, 4, 2)), "tiny")  # there is no name for the second layer
    assert all(e.source == e.target for e in found)
    assert ts.weight_map(torch_net(rnn=nn.GRU(3, 4)), "mindspore")["rnn.bias_hh_l0"] == "rnn.bias_hh_l0"
