"""Parameters of MindSpore cells: order, owners, ties, buffers; loading is all or nothing."""

import numpy as np
import pytest

mindspore = pytest.importorskip("mindspore")
pytest.importorskip("ts_mindspore.checkpoints")
nn = mindspore.nn

import ts_core as ts  # noqa: E402 - after the frameworks are known to be there


class Tied(nn.Cell):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.conv = nn.Conv1d(2, 3, 4)
        self.volume = nn.BatchNorm3d(2)
        self.head = nn.Dense(3, 5)
        self.head.weight = self.embedding.embedding_table
        self.scale = mindspore.Parameter(mindspore.Tensor([1.0]), name="a_name_of_its_own", requires_grad=False)


def test_the_names_are_those_that_mindspore_writes_into_files(tmp_path):
    net = Tied()
    mindspore.save_checkpoint(net, str(tmp_path / "net.ckpt"))
    assert {p.name for p in ts.parameters(net)} == set(mindspore.load_checkpoint(str(tmp_path / "net.ckpt")))


def test_every_parameter_says_what_it_is():
    found = {p.path: p for p in ts.parameters(Tied())}
    assert {path: (p.layer, p.kind, p.role) for path, p in found.items()} == {
        "scale": ("", None, None),
        "embedding.embedding_table": ("embedding", "embedding", "weight"),
        "norm.gamma": ("norm", "batch_norm1d", "scale"),
        "norm.beta": ("norm", "batch_norm1d", "bias"),
        "norm.moving_mean": ("norm", "batch_norm1d", "mean"),
        "norm.moving_variance": ("norm", "batch_norm1d", "variance"),
        "conv.weight": ("conv", "conv1d", "weight"),
        "volume.bn2d.gamma": ("volume", "batch_norm3d", "scale"),
        "volume.bn2d.beta": ("volume", "batch_norm3d", "bias"),
        "volume.bn2d.moving_mean": ("volume", "batch_norm3d", "mean"),
        "volume.bn2d.moving_variance": ("volume", "batch_norm3d", "variance"),
        "head.weight": ("head", "linear", "weight"),
        "head.bias": ("head", "linear", "bias"),
    }
    assert found["scale"].name == "a_name_of_its_own"
    assert found["head.weight"].tied_to == found["embedding.embedding_table"].name
    assert found["conv.weight"].shape == (3, 2, 1, 4)
    assert {path for path, p in found.items() if not p.trainable} == {
        "scale", "norm.moving_mean", "norm.moving_variance", "volume.bn2d.moving_mean", "volume.bn2d.moving_variance",
    }  # fmt: skip
    assert all(p.persistent and p.dtype == np.float32 for p in found.values())


def test_a_root_layer_is_named_as_its_file_and_found_by_its_attribute():
    found = {p.path: p.name for p in ts.parameters(nn.BatchNorm1d(3))}
    assert found["moving_mean"] == "mean"
    assert [p.kind for p in ts.parameters(nn.BatchNorm1d(3))] == ["batch_norm1d"] * 4


def test_buffers_of_a_cell():
    class Buffered(nn.Cell):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", mindspore.Tensor([1.0, 2.0]))
            self.register_buffer("cache", mindspore.Tensor([1.0]), persistent=False)

    net = Buffered()
    assert [(p.name, p.persistent, p.trainable) for p in ts.parameters(net)] == [
        ("table", True, False),
        ("cache", False, False),
    ]
    ts.load_parameters(net, {"table": np.array([3, 4], np.float32)})
    assert net.table.asnumpy().tolist() == [3, 4]


def test_a_cell_that_is_used_twice_is_listed_under_both_paths():
    inner = nn.Dense(2, 2)
    net = nn.SequentialCell(inner, inner)
    assert [(p.path, p.tied_to is not None) for p in ts.parameters(net)] == [
        ("0.weight", False), ("0.bias", False), ("1.weight", True), ("1.bias", True),
    ]  # fmt: skip


def arrays_of(net) -> dict[str, np.ndarray]:
    return {p.name: ts.to_numpy(p.value) + 1 for p in ts.parameters(net)}


def bits(net) -> dict[str, bytes]:
    return {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(net)}


def test_loading_sets_every_parameter():
    net = Tied()
    arrays = arrays_of(net)
    result = ts.load_parameters(net, arrays)
    assert result
    assert bits(net) == {name: array.tobytes() for name, array in arrays.items()}
    assert net.head.weight is net.embedding.embedding_table


def test_the_dtype_of_the_network_is_kept():
    net = nn.Dense(2, 1).to_float(mindspore.float16)
    net.weight.set_dtype(mindspore.float16)
    ts.load_parameters(net, {"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    assert net.weight.dtype == mindspore.float16
    assert net.weight.asnumpy().tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda a: a.pop("norm.moving_mean"), "missing: norm.moving_mean"),
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
