"""Translation claims nothing that the other framework lacks, and renames nothing without evidence."""

import importlib.metadata
import sys
import textwrap

import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core.cli import cli
from ts_core.errors import WeightMapError
from ts_core.sources import open_source

pytest.importorskip("ts_torch.checkpoints")  # their files and rules, not the frameworks
pytest.importorskip("ts_mindspore.checkpoints")

PLUGIN = """
    from ts_core.contract import FrameworkInfo, LayerRule
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.transforms import Reshape, Transpose

    T = Transpose((1, 0))
    KERNEL = {"kernel": "weight", "bias": "bias"}
    PARTS = {f"{part}_kernel": f"{part}_proj.weight" for part in "qkv"}
    PARTS |= {f"{part}_bias": f"{part}_proj.bias" for part in "qkv"}
    CELL = {"x": "weight_ih", "h": "weight_hh", "b": "bias_hh"}
    NORM = {"scale": "scale", "bias": "bias", "mean": "mean", "var": "variance"}

    @hookimpl
    def framework_info():
        return FrameworkInfo("tiny", "numpy", classes=("tiny.Net",), title="Tiny", tags=("tiny",))

    @hookimpl
    def layer_rules():
        weights = [f"{part}_proj.weight" for part in "qkv"]
        gates = {f"{gate}_kernel": f"weight_ih.{gate}" for gate in "ifgo"}
        gates |= {f"{gate}_more": f"weight_hh.{gate}" for gate in "ifgo"}
        return [
            LayerRule("tiny.Linear", "linear", KERNEL, {"weight": T}),
            LayerRule("tiny.Norm", "batch_norm2d", NORM),
            LayerRule(
                "tiny.Attention",
                "multi_head_attention",
                {**PARTS, "out_kernel": "out_proj.weight", "out_bias": "out_proj.bias"},
                {**dict.fromkeys(weights, T), "out_proj.weight": T},
            ),
            LayerRule("tiny.Cell", "lstm_cell", CELL, {"weight_ih": T, "weight_hh": T}),
            LayerRule("tiny.Gated", "lstm_cell", gates),
            LayerRule("tiny.Gru", "gru_cell", CELL),
        ]
"""


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    """The plug-in of a made-up framework, beside those that are installed."""
    from ts_core.frameworks._registry import GROUP, PluginRegistry

    (tmp_path / "tiny_rules.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        importlib.metadata.EntryPoint("tiny", "tiny_rules", GROUP),
        *importlib.metadata.entry_points(group=GROUP),
    ]
    monkeypatch.setattr("ts_core.frameworks._registry._current", PluginRegistry(entries))
    yield
    sys.modules.pop("tiny_rules", None)


RNG = np.random.default_rng(0)


def arrays(**shapes):
    return {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def a_file(path, tag, tensors):
    ts.save_checkpoint(tensors, path, metadata={"format": tag})
    return path


ATTENTION = arrays(in_proj_weight=(12, 4), in_proj_bias=(12,), **{"out_proj.weight": (4, 4), "out_proj.bias": (4,)})


def test_an_attention_comes_apart_where_the_other_framework_has_parts(tmp_path):
    file = a_file(tmp_path / "a.safetensors", "pt", {f"n.{name}": array for name, array in ATTENTION.items()})
    found = ts.weight_map(file, "tiny")
    assert found.complete
    mapped = found.apply(ts.open_checkpoint(file))
    for number, part in enumerate("qkv"):
        rows = slice(4 * number, 4 * number + 4)
        np.testing.assert_array_equal(mapped[f"n.{part}_kernel"], ATTENTION["in_proj_weight"][rows].T)
        np.testing.assert_array_equal(mapped[f"n.{part}_bias"], ATTENTION["in_proj_bias"][rows])


def parts(square=True, without=()):
    shapes = {f"{part}_kernel": (4 if square or part == "q" else 6, 4) for part in "qkv"}
    shapes |= {f"{part}_bias": (4,) for part in "qkv" if part not in without}
    return {f"n.{name}": array for name, array in arrays(**shapes, out_kernel=(4, 4), out_bias=(4,)).items()}


@pytest.mark.parametrize("without", ["", "k", "kv"])
def test_parts_of_an_attention_are_joined_and_zeros_stand_for_a_bias(tmp_path, without):
    source = parts(without=without)
    file = a_file(tmp_path / "a.safetensors", "tiny", source)
    found = ts.weight_map(file, "torch")
    assert found.complete
    mapped = found.apply(ts.open_checkpoint(file))
    expected = np.concatenate([source[f"n.{part}_kernel"].T for part in "qkv"])
    np.testing.assert_array_equal(mapped["n.in_proj_weight"], expected)
    zeros = np.zeros(4, np.float32)
    expected = np.concatenate([source.get(f"n.{part}_bias", zeros) for part in "qkv"])
    np.testing.assert_array_equal(mapped["n.in_proj_bias"], expected)


def test_parts_of_several_widths_stay_apart(tmp_path):
    found = ts.weight_map(a_file(tmp_path / "a.safetensors", "tiny", parts(square=False)), "torch")
    assert found.complete
    assert {found[f"n.{part}_kernel"] for part in "qkv"} == {f"n.{part}_proj_weight" for part in "qkv"}


def test_shapes_that_the_layer_cannot_have_are_refused(tmp_path):
    source = {name: array.repeat(2, 0) if name == "n.q_kernel" else array for name, array in parts().items()}
    found = ts.weight_map(a_file(tmp_path / "a.safetensors", "tiny", source), "torch")
    assert not found.complete
    assert all("torch.nn.MultiheadAttention" in one.reason for one in found.unmatched_source)


def test_biases_that_are_added_become_one(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.LSTMCell(3, 2)
    found = ts.weight_map(net, "tiny")
    assert found.complete
    mapped = found.apply(open_source(net))
    np.testing.assert_allclose(mapped["b"], (net.bias_ih + net.bias_hh).detach().numpy(), rtol=1e-6)
    with pytest.raises(WeightMapError, match="no inverse"):
        found.inverse()


def test_a_role_that_the_other_layer_lacks_is_an_error(tmp_path):
    torch = pytest.importorskip("torch")
    found = ts.weight_map(torch.nn.GRUCell(3, 2), "tiny")
    assert not found.complete
    (lacking,) = found.unmatched_source
    assert lacking.name == "bias_ih"
    assert "tiny.Gru of Tiny has no bias_ih" in lacking.reason
    assert "ts.weight_map(source, target_net)" in lacking.reason
    with pytest.raises(WeightMapError, match=r"no place for bias_ih.*tiny\.Gru of Tiny has no bias_ih"):
        ts.convert(torch.nn.GRUCell(3, 2), tmp_path / "out.npz", to="tiny")
    assert not (tmp_path / "out.npz").exists()


def test_gates_that_stand_apart_are_joined(tmp_path):
    shapes = {f"{gate}_kernel": (2, 3) for gate in "ifgo"} | {f"{gate}_more": (2, 2) for gate in "ifgo"}
    source = {f"n.{name}": array for name, array in arrays(**shapes).items()}
    file = a_file(tmp_path / "a.safetensors", "tiny", source)
    found = ts.weight_map(file, "torch")
    assert found.complete
    expected = np.concatenate([source[f"n.{gate}_kernel"] for gate in "ifgo"])
    np.testing.assert_array_equal(found.apply(ts.open_checkpoint(file))["n.weight_ih"], expected)


@pytest.mark.parametrize("kind", ["TransformerEncoderLayer", "TransformerDecoderLayer"])
def test_a_layer_that_the_other_framework_lacks_is_an_error(kind):
    nn = pytest.importorskip("torch").nn
    found = ts.weight_map(nn.Sequential(getattr(nn, kind)(4, 2, 8), nn.Linear(4, 3)), "tiny")
    assert {entry.source[0] for entry in found} == {"1.weight", "1.bias"}
    assert all("Tiny has no layer of the kind transformer_" in one.reason for one in found.unmatched_source)
    assert not found.complete


def test_a_norm_is_that_of_another_number_of_dimensions_where_one_class_serves_all():
    nn = pytest.importorskip("torch").nn
    assert ts.weight_map(nn.BatchNorm1d(3), "tiny")["running_var"] == "var"


# A4: what speaks for a norm is its scale beside its bias.
UNKNOWN = {
    "weight norm": {"c.weight_g": (4, 1, 1, 1), "c.weight_v": (4, 3, 3, 3), "c.bias": (4,)},
    "parametrized weight norm": {
        "c.parametrizations.weight.original0": (4, 1, 1, 1),
        "c.parametrizations.weight.original1": (4, 3, 3, 3),
        "c.bias": (4,),
    },
    "spectral norm": {"c.weight_orig": (4, 3), "c.weight_u": (4,), "c.weight_v": (3,), "c.bias": (4,)},
    "pruned": {"c.weight_orig": (4, 3), "c.weight_mask": (4, 3), "c.bias": (4,)},
    "quantized": {"c.qweight": (2, 4), "c.qzeros": (1, 2), "c.scales": (1, 4), "c.g_idx": (8,), "c.bias": (4,)},
    "a bias beside layers": {"p.bias": (5,), "p.decoder.weight": (5, 4), "p.decoder.bias": (5,)},
    "a weight beside a mask": {"c.weight": (4,), "c.mask": (4,)},
}


@pytest.mark.parametrize("case", UNKNOWN)
@pytest.mark.parametrize("written", ["mapping", "file"])
def test_nothing_of_a_layer_that_nobody_knows_is_renamed(tmp_path, case, written):
    source = arrays(**UNKNOWN[case])
    given = source if written == "mapping" else a_file(tmp_path / "a.safetensors", "pt", source)
    found = ts.weight_map(given, "mindspore")
    assert found.complete
    assert all(found[name] == name for name in source)
    kept = {entry.source[0] for entry in found if entry.how == "unknown layer: name kept"}
    assert kept == {name for name in source if "decoder" not in name}
    assert "their names are kept" in found.notes[-1]


@pytest.mark.parametrize("name", ["x.bias", "a.b.bias"])
def test_a_lone_bias_is_ambiguous(tmp_path, name):
    found = ts.weight_map(a_file(tmp_path / "a.safetensors", "pt", arrays(**{name: (4,)})), "mindspore")
    (open_,) = found.ambiguous
    assert set(open_.target) == {name, name.replace("bias", "beta")}
    with pytest.raises(WeightMapError, match="an unknown layer"):
        ts.convert(tmp_path / "a.safetensors", tmp_path / "a.ckpt", to="mindspore")


def test_what_stands_beside_a_layer_is_no_part_of_it(tmp_path):
    names = ("weight", "bias", "running_mean", "running_var")
    shapes = dict.fromkeys(names, (4,)) | {"total_ops": (1,), "total_params": (1,)}
    file = a_file(tmp_path / "a.safetensors", "pt", {f"n.{k}": v for k, v in arrays(**shapes).items()})
    found = ts.weight_map(file, "mindspore")
    assert found["n.weight"] == "n.gamma"
    assert found["n.running_var"] == "n.moving_variance"
    assert found["n.total_ops"] == "n.total_ops"


KERAS = {"layers/dense/vars/0": (3, 4), "layers/dense/vars/1": (4,), "zip.zap": (3,)}


@pytest.mark.parametrize("names", [["zip.zap"], list(KERAS)])
def test_nothing_translated_is_refused_unless_allowed(tmp_path, names):
    source = arrays(**{name: KERAS[name] for name in names})
    place = tmp_path / "x.pth"
    with pytest.raises(WeightMapError, match=r"nothing can be translated to torch.*allow_unknown"):
        ts.convert(source, place, to="torch")
    assert not place.exists()
    report = ts.convert(source, place, to="torch", allow_unknown=True)
    assert {row.status for row in report.rows} == {"Unknown layer: name kept"}
    assert set(ts.open_checkpoint(place)) == set(names)


def test_what_is_partly_known_says_what_is_not(tmp_path):
    source = arrays(**{"fc.weight": (3, 4), "fc.bias": (3,), "cls.token": (1, 4)})
    report = ts.convert(source, tmp_path / "x.pth", to="torch")
    assert [row.status for row in report.rows] == ["Consistent", "Consistent", "Unknown layer: name kept"]
    assert "cls.token" in report.notes[-1]


def test_nothing_translated_on_the_command_line(tmp_path):
    np.savez(tmp_path / "a.npz", **{"zip.zap": np.ones(3)})
    arguments = ["convert", str(tmp_path / "a.npz"), str(tmp_path / "a.pth"), "--to", "torch"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code != 0
    assert not (tmp_path / "a.pth").exists()
    assert CliRunner().invoke(cli, [*arguments, "--allow-unknown"]).exit_code == 0
