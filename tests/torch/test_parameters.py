"""Parameters of torch modules: order, owners, ties, buffers; loading is all or nothing."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ts_torch.checkpoints")
nn = torch.nn

import ts_core as ts  # noqa: E402 - after the frameworks are known to be there


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5)
        self.head.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("table", torch.zeros(2))
        self.register_buffer("cache", torch.zeros(2), persistent=False)


def test_definition_order_is_that_of_the_state_dict():
    net = Tied()
    names = [p.name for p in ts.parameters(net) if p.persistent]
    assert names == list(net.state_dict())


def test_every_parameter_says_what_it_is():
    found = {p.name: p for p in ts.parameters(Tied())}
    assert {name: (p.layer, p.kind, p.role) for name, p in found.items()} == {
        "scale": ("", None, None),
        "table": ("", None, None),
        "cache": ("", None, None),
        "embedding.weight": ("embedding", "embedding", "weight"),
        "norm.weight": ("norm", "batch_norm1d", "scale"),
        "norm.bias": ("norm", "batch_norm1d", "bias"),
        "norm.running_mean": ("norm", "batch_norm1d", "mean"),
        "norm.running_var": ("norm", "batch_norm1d", "variance"),
        "norm.num_batches_tracked": ("norm", "batch_norm1d", "batch_count"),
        "head.weight": ("head", "linear", "weight"),
        "head.bias": ("head", "linear", "bias"),
    }
    assert {name for name, p in found.items() if not p.persistent} == {"cache"}
    assert {name for name, p in found.items() if not p.trainable} == {
        "scale", "table", "cache", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    }  # fmt: skip
    assert {name: p.tied_to for name, p in found.items() if p.tied_to} == {"head.weight": "embedding.weight"}
    assert (found["head.weight"].shape, found["head.weight"].dtype) == ((5, 3), np.float32)
    assert found["head.bias"].value is not None


def test_a_subclass_of_a_layer_is_that_layer_and_a_root_layer_owns_its_parameters():
    class MyNorm(nn.LayerNorm):
        pass

    weight, bias = ts.parameters(MyNorm(4))
    assert (weight.name, weight.layer, weight.kind, weight.role) == ("weight", "", "layer_norm", "scale")
    assert (bias.kind, bias.role) == ("layer_norm", "bias")


def test_dtypes_that_numpy_lacks():
    parameter = ts.parameters(nn.Linear(2, 2, dtype=torch.bfloat16))[0]
    assert parameter.dtype.name == "bfloat16"


def arrays_of(net) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() + 1 for name, tensor in net.state_dict().items()}


def bits(net) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in net.state_dict().items()}


def test_loading_sets_every_parameter_and_buffer():
    net = Tied()
    arrays = arrays_of(net)
    result = ts.load_parameters(net, arrays)
    assert result
    assert set(result.loaded) == set(arrays)
    assert bits(net) == {name: array.tobytes() for name, array in arrays.items()}
    assert net.head.weight is net.embedding.weight


def test_one_name_of_a_tied_pair_is_enough():
    for left_out in ("head.weight", "embedding.weight"):
        net = Tied()
        arrays = arrays_of(net)
        kept = arrays.pop(left_out)
        ts.load_parameters(net, arrays)
        assert net.head.weight.detach().numpy().tobytes() == kept.tobytes()


def test_the_dtype_of_the_network_is_kept():
    net = nn.Linear(2, 1, dtype=torch.bfloat16)
    ts.load_parameters(net, {"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    assert net.weight.dtype is torch.bfloat16
    assert net.weight.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda a: a.pop("norm.running_mean"), "missing: norm.running_mean"),
        (lambda a: a.update(stranger=np.zeros(1)), "unexpected: stranger"),
        (lambda a: a.update({"head.bias": np.zeros(6)}), r"head.bias: the network has \(5,\), the array \(6,\)"),
    ],
)
def test_strict_loading_changes_nothing_when_anything_does_not_fit(change, complaint):
    net = Tied()
    before, arrays = bits(net), arrays_of(net)
    change(arrays)
    with pytest.raises(ts.errors.LoadError, match=complaint):
        ts.load_parameters(net, arrays)
    assert bits(net) == before


def test_loading_without_strictness_says_what_did_not_fit():
    net = Tied()
    arrays = {"head.bias": np.ones(5, np.float32), "norm.bias": np.zeros(7), "stranger": np.zeros(1)}
    result = ts.load_parameters(net, arrays, strict=False)
    assert result.loaded == ("head.bias",)
    assert result.unexpected == ("stranger",)
    assert dict(result.mismatched) == {"norm.bias": ((3,), (7,))}
    assert "norm.weight" in result.missing
    assert net.head.bias.tolist() == [1] * 5


def test_lazy_layers_that_have_not_run_are_named():
    net = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4))
    with pytest.raises(ts.errors.NotBuiltError, match=r"1\.weight has no shape yet: call the network once"):
        ts.parameters(net)
    net(torch.zeros(1, 2))
    assert len(ts.parameters(net)) == 4
