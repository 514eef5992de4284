"""Maps from files alone: no network is at hand, and what a layer is must be read from sibling names and shapes."""

import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import WeightMapError

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")


def torch_net() -> torch.nn.Module:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.BatchNorm2d(3),
        nn.Sequential(nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4), nn.ConvTranspose1d(4, 4, 2)),
        nn.Linear(4, 6),
        nn.LayerNorm(6),
        nn.GroupNorm(2, 6),
        nn.LSTM(6, 6),
        nn.MultiheadAttention(6, 2),
        nn.TransformerEncoderLayer(6, 2, 8),
    )


def mindspore_net() -> mindspore.nn.Cell:
    nn = mindspore.nn
    return nn.SequentialCell(
        nn.Conv2d(2, 3, 3, has_bias=True),
        nn.BatchNorm2d(3),
        nn.SequentialCell(
            nn.Conv1d(3, 4, 1, has_bias=True), nn.BatchNorm1d(4), nn.Conv1dTranspose(4, 4, 2, has_bias=True)
        ),
        nn.Dense(4, 6),
        nn.LayerNorm((6,)),
        nn.GroupNorm(2, 6),
        nn.LSTM(6, 6),
        nn.MultiheadAttention(6, 2),
        nn.TransformerEncoderLayer(6, 2, 8),
    )


def test_a_torch_file_is_converted_for_mindspore_from_the_command_line(tmp_path):
    net = torch_net()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    command = [sys.executable, "-m", "ts_core", "convert", "net.pth", "net.ckpt", "--to", "mindspore"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    loaded = mindspore.load_checkpoint(str(tmp_path / "net.ckpt"))
    wanted = {name: tuple(p.shape) for name, p in mindspore_net().parameters_and_names()}
    given = {name: tuple(p.shape) for name, p in loaded.items() if not name.endswith("num_batches_tracked")}
    assert given == wanted
    np.testing.assert_array_equal(loaded["2.0.weight"].asnumpy(), net[2][0].weight.detach().numpy()[:, :, None])


def test_the_same_file_matched_to_a_file_gives_the_same_map(tmp_path):
    torch.save(torch_net().state_dict(), tmp_path / "net.pth")
    mindspore.save_checkpoint(mindspore_net(), str(tmp_path / "net.ckpt"))
    translated = ts.weight_map(tmp_path / "net.pth", "mindspore")
    matched = ts.weight_map(tmp_path / "net.pth", tmp_path / "net.ckpt")
    counters = [u.name for u in matched.unmatched_source]
    assert all(name.endswith("num_batches_tracked") for name in counters)
    assert not matched.ambiguous
    assert not matched.unmatched_target
    pairs = {(e.source, e.target, e.transform) for e in translated if e.source[0] not in counters}
    assert {(e.source, e.target, e.transform) for e in matched} == pairs


def test_names_and_shapes_are_a_target_too(tmp_path):
    torch.save(torch_net().state_dict(), tmp_path / "net.pth")
    shapes = {name: tuple(p.shape) for name, p in mindspore_net().parameters_and_names()}
    assert ts.weight_map(tmp_path / "net.pth", shapes)["1.weight"] == "1.gamma"


def test_a_mindspore_file_is_read_for_torch(tmp_path):
    nn = mindspore.nn
    net = nn.SequentialCell(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.Dense(3, 4))
    mindspore.save_checkpoint(net, str(tmp_path / "net.ckpt"))
    found = ts.weight_map(tmp_path / "net.ckpt", "torch")
    assert found["1.moving_variance"] == "1.running_var"
    # a kernel of 1 x 1 may be that of a 1-D convolution, but the file has others that are not
    assert [e.source[0] for e in found if e.certainty != "certain"] == ["2.weight"]
    assert "2.weight" in found.notes[0]


def test_a_file_of_one_dimensional_convolutions_is_read_as_such(tmp_path):
    nn = mindspore.nn
    mindspore.save_checkpoint(nn.SequentialCell(nn.Conv1d(2, 3, 3), nn.Conv1d(3, 3, 1)), str(tmp_path / "net.ckpt"))
    mapped = ts.weight_map(tmp_path / "net.ckpt", "torch").apply(ts.open_checkpoint(tmp_path / "net.ckpt"))
    assert [array.shape for array in mapped.values()] == [(3, 2, 3), (3, 3, 1)]


def test_norms_of_three_dimensions_are_told_by_the_convolutions_beside_them(tmp_path):
    nn = torch.nn
    torch.save(nn.Sequential(nn.Conv3d(2, 3, 3), nn.BatchNorm3d(3)).state_dict(), tmp_path / "net.pth")
    target = mindspore.nn.SequentialCell(mindspore.nn.Conv3d(2, 3, 3, has_bias=True), mindspore.nn.BatchNorm3d(3))
    found = ts.weight_map(tmp_path / "net.pth", "mindspore")
    counter = "1.num_batches_tracked"
    assert {e.target[0] for e in found} - {counter} == {name for name, _ in target.parameters_and_names()}


def test_what_a_file_leaves_open_is_an_error_that_names_it(tmp_path):
    nn = torch.nn
    net = nn.Sequential(nn.Embedding(5, 4), nn.PReLU(3), nn.RMSNorm(4), nn.Linear(4, 5, bias=False))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    found = ts.weight_map(tmp_path / "net.pth", "mindspore")
    assert [a.source for a in found.ambiguous] == [(f"{i}.weight",) for i in range(4)]
    assert set(found.ambiguous[0].target) == {"0.weight", "0.embedding_table"}
    with pytest.raises(WeightMapError, match=r"0\.weight -> .*embedding_table.*a file alone does not tell") as error:
        ts.convert(tmp_path / "net.pth", tmp_path / "net.ckpt", to="mindspore")
    assert all(f"{i}.weight" in str(error.value) for i in range(4))
    assert not (tmp_path / "net.ckpt").exists()
    for name, target in zip(net.state_dict(), ("0.embedding_table", "1.w", "2.weight", "3.weight"), strict=True):
        found[name] = target
    assert not found.ambiguous
    assert ts.convert(tmp_path / "net.pth", tmp_path / "net.ckpt", weight_map=found)


def test_names_of_data_parallelism_are_taken_off_and_it_is_said(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    tensors = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    found = ts.weight_map(tensors, "mindspore")
    assert found["module.1.weight"] == "1.gamma"
    assert "module." in found.notes[0]


def test_a_wrappers_prefix_costs_no_certainty(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(torch.nn.DataParallel(net).state_dict(), tmp_path / "net.pth")
    target = mindspore.nn.SequentialCell(mindspore.nn.Dense(2, 3), mindspore.nn.BatchNorm1d(3))
    found = ts.weight_map(tmp_path / "net.pth", target)
    assert {e.certainty for e in found} == {"certain"}
    assert "module." in found.notes[0]
    assert ts.transfer(tmp_path / "net.pth", target)


def test_a_file_of_tied_weights_fits_a_network_that_ties_them(tmp_path):
    class Tied(mindspore.nn.Cell):
        def __init__(self):
            super().__init__()
            self.table = mindspore.nn.Embedding(9, 4)
            self.body = mindspore.nn.Dense(4, 4)
            self.head = mindspore.nn.Dense(4, 9, has_bias=False)
            self.head.weight = self.table.embedding_table

    net = torch.nn.Module()
    net.table, net.body = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 4)
    net.head = torch.nn.Linear(4, 9, bias=False)
    net.head.weight = net.table.weight
    torch.save(net.state_dict(), tmp_path / "tied.pth")
    target = Tied()
    assert ts.transfer(tmp_path / "tied.pth", target)
    np.testing.assert_array_equal(target.head.weight.asnumpy(), net.table.weight.detach().numpy())
    unmatched = ts.weight_map(tmp_path / "tied.pth", target).unmatched_source
    assert [(u.name, u.harmless) for u in unmatched] == [("head.weight", True)]
    net.head.weight = torch.nn.Parameter(net.table.weight.detach() + 1)
    torch.save(net.state_dict(), tmp_path / "apart.pth")
    with pytest.raises(WeightMapError, match=r"no place for head\.weight"):
        ts.transfer(tmp_path / "apart.pth", target)
