"""A checkpoint fits the network that wrote it; tied parameters do not compete; what is left out, or folded."""

import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.mapping import LOST

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
nn, msnn = torch.nn, mindspore.nn

sys.path.insert(0, str(Path(__file__).parent))
from mapping_nets import cell, layers_of, net  # noqa: E402


class OwnNorm(nn.Module):
    """A norm that calls its parameters as another framework does."""

    def __init__(self):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))


def torch_net():
    """Equal layers in an order that says nothing, names that other frameworks use, and a lone parameter."""
    root = net(
        b=nn.Linear(4, 4), a=nn.Linear(4, 4), LayerNorm=OwnNorm(), c=net(a=nn.Linear(4, 4), kernel=nn.Linear(4, 4))
    )
    root.register_parameter("bias", nn.Parameter(torch.zeros(4)))
    return root


def ms_net():
    root = cell(b=msnn.Dense(4, 4), a=msnn.Dense(4, 4), norm=msnn.BatchNorm1d(4), conv=msnn.Conv1d(4, 4, 3))
    root.a.weight.name = "another.name"  # the name in files is not the path
    return root


def all_equal(found):
    return (
        found.complete
        and {(e.source, e.how, e.certainty) for e in found} == {(e.target, "equal name", "certain") for e in found}
        and not any(entry.transform for entry in found)
    )


@pytest.mark.parametrize("made", [torch_net, ms_net])
@pytest.mark.parametrize("suffix", ["own", ".npz", ".safetensors"])
def test_a_checkpoint_fits_the_network_that_wrote_it(tmp_path, made, suffix):
    suffix = suffix if suffix != "own" else ".pth" if made is torch_net else ".ckpt"
    file = tmp_path / f"net{suffix}"
    source = made()
    ts.save_checkpoint(source, file)
    other = made()
    if made is torch_net:
        other = net(**dict(reversed(list(made().named_children()))))  # defined from the end
        other.register_parameter("bias", nn.Parameter(torch.zeros(4)))
    assert all_equal(ts.weight_map(file, other))
    assert all_equal(ts.weight_map(other, file))
    assert all_equal(ts.weight_map(file, file))
    assert ts.transfer(file, other)


def test_equal_names_of_two_frameworks_are_matched_by_their_layouts():
    """Of one shape, and stored otherwise: what a name stands for depends on the framework."""
    source, target = net(norm=nn.BatchNorm1d(4), a=nn.Linear(4, 4)), cell(norm=msnn.BatchNorm1d(4), a=msnn.Dense(4, 4))
    assert ts.weight_map(source, target)["norm.weight"] == "norm.gamma"


def test_tied_parameters_of_the_target_do_not_compete():
    target = net(tok=nn.Embedding(9, 4), lin=nn.Linear(4, 4), head=nn.Linear(4, 9, bias=False))
    target.head.weight = target.tok.weight
    rng = np.random.default_rng(0)
    shapes = {"emb.weight": (9, 4), "lin.weight": (4, 4), "lin.bias": (4,)}
    source = {name: rng.standard_normal(shape).astype("f") for name, shape in shapes.items()}
    found = ts.weight_map(source, target)
    assert found.complete
    assert found["emb.weight"] == "tok.weight"
    assert [u.name for u in found.unmatched_target] == ["head.weight"]
    assert ts.transfer(source, target)
    np.testing.assert_array_equal(target.head.weight.detach().numpy(), source["emb.weight"])


@pytest.mark.parametrize("target_ties", [False, True])
@pytest.mark.parametrize("source_ties", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_tied_or_not_everything_arrives(source_ties, target_ties, bias):
    source = net(tok=nn.Embedding(9, 4), lin=nn.Linear(4, 4), out=nn.Linear(4, 9, bias=bias))
    target = cell(table=msnn.Embedding(9, 4), lin=msnn.Dense(4, 4), head=msnn.Dense(4, 9, has_bias=bias))
    with torch.no_grad():
        source.out.weight.copy_(source.tok.weight)
    if source_ties:
        source.out.weight = source.tok.weight
    if target_ties:
        target.head.weight = target.table.embedding_table
    assert ts.transfer(source, target)
    expected = source.tok.weight.detach().numpy()
    np.testing.assert_array_equal(target.table.embedding_table.asnumpy(), expected)
    np.testing.assert_array_equal(target.head.weight.asnumpy(), expected)


def test_a_file_without_the_tied_weight_of_a_biased_head_fits():
    """As files that store each tensor once do."""
    target = net(tok=nn.Embedding(9, 4), lin=nn.Linear(4, 4), head=nn.Linear(4, 9))
    target.head.weight = target.tok.weight
    source = {f"net.{name}": array.detach().numpy() for name, array in target.named_parameters()}
    found = ts.weight_map(source, target)
    assert found.complete
    assert found["net.head.bias"] == "head.bias"


def test_what_is_left_out_on_purpose_is_so_in_compare_and_transfer():
    source, target = net(a=nn.Linear(4, 4), b=nn.Linear(4, 3)), cell(a=msnn.Dense(4, 4), c=msnn.Dense(4, 3))
    found = ts.weight_map(source, target)
    assert ts.transfer(source, target, weight_map=found)
    target.c.weight.set_data(mindspore.Tensor(np.zeros((3, 4), np.float32)))
    assert not ts.compare(source, target, weight_map=found, progress=False)
    del found["b.weight"]
    assert found.complete
    report = ts.compare(source, target, weight_map=found, progress=False)
    assert report
    assert str(report).count("the map leaves it out") == 2
    report = ts.transfer(source, target, weight_map=found)
    assert report
    assert {row.status.partition(":")[0] for row in report.rows if not row.target or not row.source} == {
        "Not applicable"
    }
    assert not target.c.weight.asnumpy().any()


def test_a_map_is_asked_for_each_of_its_entries():
    source, target = net(a=nn.Linear(4, 4)), cell(a=msnn.Dense(4, 4))
    found = ts.weight_map(source, target)
    assert [found[name] for name in found] == ["a.weight", "a.bias"]
    assert {name: found[name] for name in found.names} == layers_and_names(found)
    stranger = ts.weight_map(source, "mindspore", rename={"a": "b"})
    with pytest.raises(KeyError):
        found[next(iter(stranger))]


def layers_and_names(found):
    return {e.source[0]: e.target[0] for e in found}


def conv_net(norm=True, order=("conv", "bn")):
    layers = {
        "conv": nn.Conv2d(3, 8, 3, padding=1),
        "bn": nn.BatchNorm2d(8) if norm else nn.Conv2d(8, 8, 1, bias=False),
    }
    return net(**{name: layers[name] for name in order}).eval()


def ms_conv_net(norm=True):
    second = msnn.BatchNorm2d(8) if norm else msnn.Conv2d(8, 8, 1)
    return cell(conv=msnn.Conv2d(3, 8, 3, has_bias=False), bn=second).set_train(False)


def test_a_bias_in_front_of_a_batch_norm_is_folded_when_asked_for():
    source, target = conv_net(), ms_conv_net()
    source.bn.running_mean.normal_()
    (lost,) = (u for u in ts.weight_map(source, target).unmatched_source if u.severity == LOST)
    assert "weight_map.fold('conv.bias')" in lost.reason
    with pytest.warns(ts.errors.WeightMapWarning, match=r"conv\.bias from bn\.running_mean \(fold_biases=True"):
        assert not ts.transfer(source, target)
    report = ts.transfer(source, target, fold_biases=True)
    assert report
    x = torch.randn(1, 3, 5, 5)
    expected = source.bn(source.conv(x)).detach().numpy()
    found = target.bn(target.conv(mindspore.Tensor(x.numpy()))).asnumpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_folded_map_survives_its_file(tmp_path):
    source, target = conv_net(), ms_conv_net()
    found = ts.weight_map(source, target, fold_biases=True)
    assert found.complete
    found.save(tmp_path / "map.json")
    expected = (source.bn.running_mean - source.conv.bias).detach().numpy()
    assert ts.transfer(source, target, weight_map=ts.WeightMap.load(tmp_path / "map.json"))
    np.testing.assert_allclose(target.bn.moving_mean.asnumpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (lambda: conv_net(norm=False), lambda: ms_conv_net(norm=False), "no batch norm follows 'conv', but 'bn'"),
        (lambda: conv_net(order=("bn", "conv")), ms_conv_net, "no batch norm follows 'conv', which is the last layer"),
    ],
)
def test_a_fold_without_a_batch_norm_says_why(source, target, reason):
    source, target = source(), target()
    before = {name: p.asnumpy().tobytes() for name, p in target.parameters_and_names()}
    with pytest.raises(ts.errors.WeightMapError, match=reason):
        ts.transfer(source, target, fold_biases=True)
    assert {name: p.asnumpy().tobytes() for name, p in target.parameters_and_names()} == before


def test_only_what_gets_lost_is_folded(tmp_path):
    source, target = conv_net(), ms_conv_net()
    found = ts.weight_map(source, target)
    with pytest.raises(ts.errors.WeightMapError, match=r"bn\.bias: it is no bias that the target has no place for"):
        found.fold("bn.bias")
    with pytest.raises(ts.errors.ArgumentError, match="needs a target"):
        ts.weight_map(source, "mindspore", fold_biases=True)
    with pytest.raises(ts.errors.ArgumentError, match=r"map\.fold"):
        ts.transfer(source, target, weight_map=found, fold_biases=True)
    with pytest.raises(ts.errors.ArgumentError, match="needs target="):
        ts.convert(source, tmp_path / "a.ckpt", to="mindspore", fold_biases=True)
    assert layers_of(found.fold("conv.bias"))["conv"] == "conv"
