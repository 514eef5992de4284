"""What strictness lets go, which is a plain bias and is said aloud, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import WeightMapError, WeightMapWarning

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
nn, msnn = torch.nn, mindspore.nn

# The same layer in torch with a bias, and in MindSpore without.
WITHOUT_BIAS = {
    "linear": (lambda: nn.Linear(4, 8), lambda: msnn.Dense(4, 8, has_bias=False)),
    "conv1d": (lambda: nn.Conv1d(3, 5, 2), lambda: msnn.Conv1d(3, 5, 2, has_bias=False)),
    "conv2d": (lambda: nn.Conv2d(3, 5, 2), lambda: msnn.Conv2d(3, 5, 2, has_bias=False)),
    "conv_transpose2d": (
        lambda: nn.ConvTranspose2d(3, 5, 2),
        lambda: msnn.Conv2dTranspose(3, 5, 2, has_bias=False),
    ),
}


def values_of(network: object) -> dict[str, bytes]:
    return {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(network)}


def refused(source: object, target: object) -> str:
    """The message with which a strict transfer refuses; the network must be what it was."""
    before = values_of(target)
    with pytest.raises(WeightMapError) as error:
        ts.transfer(source, target)
    assert values_of(target) == before
    return str(error.value)


def one_bias(cell: torch.nn.Module, left: str) -> torch.nn.Module:
    """A recurrent cell that keeps one of its two biases, and defines it first, as those of other frameworks do."""
    kept = {name: cell._parameters.pop(name) for name in (left, "weight_hh", "weight_ih")}
    cell._parameters.clear()
    cell.register_parameter("bias_hh" if left == "bias_ih" else "bias_ih", None)
    cell._parameters.update(kept)
    return cell


@pytest.mark.parametrize("kind", WITHOUT_BIAS)
def test_a_plain_bias_without_a_place_is_lost_aloud(kind):
    make, make_bare = WITHOUT_BIAS[kind]
    source, target = nn.Sequential(make()), msnn.SequentialCell(make_bare())
    with pytest.warns(WeightMapWarning, match=r"1 of the source's biases get lost.*: 0\.bias\..*build them") as caught:
        report = ts.transfer(source, target)
    assert caught[0].filename == __file__
    assert not report
    assert [(row.source, row.target) for row in report.failed] == [("0.bias", None)]
    loaded = ts.to_numpy(ts.parameters(target)[0].value)
    np.testing.assert_array_equal(loaded.ravel(), source[0].weight.detach().numpy().ravel())


def test_a_bias_that_the_source_lacks_is_an_error():
    assert "nothing for 0.bias" in refused(
        nn.Sequential(nn.Linear(4, 8, bias=False)), msnn.SequentialCell(msnn.Dense(4, 8))
    )


def test_many_lost_biases_are_counted_and_the_first_are_named():
    source = nn.Sequential(*(nn.Linear(4 + i, 5 + i) for i in range(6)))
    target = msnn.SequentialCell([msnn.Dense(4 + i, 5 + i, has_bias=False) for i in range(6)])
    with pytest.warns(WeightMapWarning, match=r"^6 of .*: 0\.bias, 1\.bias, 2\.bias and 3 more\. "):
        assert len(ts.transfer(source, target).failed) == 6


def test_a_map_may_be_its_file_or_its_pair(tmp_path):
    source, target = nn.Sequential(nn.Linear(4, 8)), msnn.SequentialCell(msnn.Dense(4, 8))
    found = ts.weight_map(source, target)
    found.save(tmp_path / "map.json")
    before = values_of(target)
    for given in (found, tmp_path / "map.json", str(tmp_path / "map.json"), found.to_pair()):
        assert ts.transfer(source, target, weight_map=given)
        assert values_of(target) != before
    for wrong in ({"0.weight": "0.weight"}, 3, [1]):
        with pytest.raises(ts.errors.ArgumentTypeError, match="weight_map must be a WeightMap, its file, or a pair"):
            ts.transfer(source, target, weight_map=wrong)
        with pytest.raises(ts.errors.ArgumentTypeError, match="weight_map must be a WeightMap, its file, or a pair"):
            ts.convert(source, tmp_path / "net.ckpt", weight_map=wrong)


def test_a_framework_that_nobody_knows_is_told_as_such():
    with pytest.raises(ts.errors.ArgumentError, match=r"no plug-in for a framework called 'mindspor' \(known: "):
        ts.weight_map(nn.Linear(2, 3), "mindspor")


@pytest.mark.parametrize("target", [nn.Sequential(nn.Linear(4, 8, bias=False)), nn.Sequential(nn.Linear(4, 9))])
def test_what_is_open_stays_open_in_the_file_of_a_map(tmp_path, target):
    source = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8))
    torch.save(source.state_dict(), tmp_path / "net.pth")
    wider = nn.Sequential(*target, nn.Linear(8, 8))
    ts.weight_map(source, wider).save(tmp_path / "map.json")
    names, values = json.loads((tmp_path / "map.json").read_text())
    assert names["0.bias"] == ""
    loaded = ts.WeightMap.load(tmp_path / "map.json")
    assert not loaded.complete
    message = r"no place for 0\.bias: the map leaves its place open.*null"
    before = values_of(wider)
    with pytest.raises(WeightMapError, match=message):
        ts.transfer(source, wider, weight_map=loaded)
    assert values_of(wider) == before
    with pytest.raises(WeightMapError, match=message):
        ts.convert(tmp_path / "net.pth", tmp_path / "net.ckpt", weight_map=tmp_path / "map.json")
    assert not (tmp_path / "net.ckpt").exists()
    decided = {name: new or None for name, new in names.items()}
    assert ts.convert(tmp_path / "net.pth", tmp_path / "net.ckpt", weight_map=(decided, values))


def test_what_is_left_out_on_purpose_is_no_loss(tmp_path):
    source = nn.Sequential(nn.Linear(4, 8))
    target = msnn.SequentialCell(msnn.Dense(4, 8, has_bias=False))
    found = ts.weight_map(source, target)
    assert [(u.name, u.severity) for u in found.unmatched_source] == [("0.bias", "lost")]
    assert not found.complete
    with pytest.warns(WeightMapWarning, match=r"0\.bias"):
        assert not ts.transfer(source, target, weight_map=found)
    del found["0.bias"]
    found.save(tmp_path / "map.json")
    assert found.complete
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ts.transfer(source, target, weight_map=found)
        assert ts.transfer(source, target, weight_map=ts.WeightMap.load(tmp_path / "map.json"))
    with pytest.raises(KeyError):
        del found["nothing.bias"]


def test_as_an_error_the_warning_comes_before_anything_is_changed(tmp_path):
    source, target = nn.Sequential(nn.Linear(4, 8)), msnn.SequentialCell(msnn.Dense(4, 8, has_bias=False))
    before = values_of(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WeightMapWarning)
        with pytest.raises(WeightMapWarning):
            ts.transfer(source, target)
        with pytest.raises(WeightMapWarning):
            ts.convert(source, tmp_path / "x.ckpt", target=target, progress=False)
    assert values_of(target) == before
    assert not (tmp_path / "x.ckpt").exists()


@pytest.mark.parametrize("kind", ["LSTMCell", "RNNCell", "GRUCell"])
@pytest.mark.parametrize("left", ["bias_ih", "bias_hh"])
def test_one_bias_cannot_take_the_place_of_two(kind, left, tmp_path):
    source = nn.Sequential(getattr(nn, kind)(3, 4))
    target = nn.Sequential(one_bias(getattr(nn, kind)(3, 4), left))
    gone = "bias_hh" if left == "bias_ih" else "bias_ih"
    message = refused(source, target)
    from_file = refused({name: array.detach().numpy() for name, array in source.state_dict().items()}, target)
    for said in (message, from_file):
        assert f"no place for 0.{gone}" in said
        # In a GRU one of the two biases is inside a product, so no sum is right.
        assert (f"add it to '0.{left}'" in said) == (kind != "GRUCell")
    with pytest.raises(WeightMapError, match=rf"no place for 0\.{gone}"):
        ts.convert(source, tmp_path / "x.safetensors", target=target, progress=False)
    assert not (tmp_path / "x.safetensors").exists()


def test_the_advice_for_a_cell_with_one_bias_is_right():
    source, target = nn.Sequential(nn.LSTMCell(3, 4)), nn.Sequential(one_bias(nn.LSTMCell(3, 4), "bias_hh"))
    inputs = torch.ones(2, 3)
    expected = source(inputs)
    with torch.no_grad():
        source[0].bias_hh += source[0].bias_ih
    found = ts.weight_map(source, target)
    del found["0.bias_ih"]
    assert ts.transfer(source, target, weight_map=found)
    with torch.no_grad():
        target[0].bias_ih = nn.Parameter(torch.zeros(16))
        for one, other in zip(expected, target(inputs), strict=True):
            assert torch.allclose(one, other)


@pytest.mark.parametrize(
    ("make", "make_bare"),
    [
        (lambda: nn.BatchNorm2d(4), lambda: nn.BatchNorm2d(4, affine=False)),
        (lambda: nn.LayerNorm(4), lambda: nn.LayerNorm(4, bias=False)),
        (lambda: nn.MultiheadAttention(4, 2), lambda: nn.MultiheadAttention(4, 2, bias=False)),
    ],
    ids=["batch_norm", "layer_norm", "attention"],
)
def test_nothing_else_gets_lost(make, make_bare):
    source, target = nn.Sequential(nn.Linear(4, 4), make()), nn.Sequential(nn.Linear(4, 4), make_bare())
    assert "no place for" in refused(source, target)
    with torch.no_grad():
        target[0].weight.zero_()
    report = ts.transfer(source, target, strict=False)
    assert not report
    assert torch.equal(source[0].weight, target[0].weight)


def test_a_bias_is_not_lost_to_a_layer_that_only_order_chose():
    source = nn.ModuleDict({"foo": nn.Linear(4, 4), "bar": nn.Linear(4, 4)})
    target = msnn.Cell()
    target.left, target.right = msnn.Dense(4, 4, has_bias=False), msnn.Dense(4, 4, has_bias=False)
    assert "no place for foo.bias" in refused(source, target)


def test_a_choice_by_order_is_said_aloud(tmp_path):
    source = nn.ModuleDict({"foo": nn.Linear(4, 4), "bar": nn.Linear(4, 4)})
    target = msnn.Cell()
    target.left, target.right = msnn.Dense(4, 4), msnn.Dense(4, 4)
    with pytest.warns(WeightMapWarning, match=r"4 of 4 entries were matched by order alone.*Check the outputs"):
        assert ts.transfer(source, target)
    with pytest.warns(WeightMapWarning, match=r"4 of 4 entries were matched by order alone"):
        assert ts.convert(source, tmp_path / "x.ckpt", target=target, progress=False)


@pytest.mark.parametrize("from_files", [False, True], ids=["networks", "files"])
@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_convert_lets_go_what_transfer_lets_go(kind, from_files, tmp_path):
    make, make_bare = WITHOUT_BIAS[kind]
    source, target = nn.Sequential(make()), msnn.SequentialCell(make_bare())
    given, like = source, target
    if from_files:
        given, like = tmp_path / "net.pth", tmp_path / "like.ckpt"
        torch.save(source.state_dict(), given)
        mindspore.save_checkpoint(target, str(like))
    with pytest.warns(WeightMapWarning, match=r"1 of the source's biases get lost.*: 0\.bias") as caught:
        report = ts.convert(given, tmp_path / "net.ckpt", target=like, progress=False)
    assert caught[0].filename == __file__
    assert [row.source for row in report.failed] == ["0.bias"]
    assert list(mindspore.load_checkpoint(str(tmp_path / "net.ckpt"))) == ["0.weight"]


def test_the_command_line_says_that_a_bias_got_lost(tmp_path):
    torch.save(nn.Sequential(nn.Linear(4, 8)).state_dict(), tmp_path / "net.pth")
    mindspore.save_checkpoint(msnn.SequentialCell(msnn.Dense(4, 8, has_bias=False)), str(tmp_path / "like.ckpt"))
    paths = [str(tmp_path / name) for name in ("net.pth", "net.ckpt")]
    command = [sys.executable, "-m", "ts_core", "convert", *paths, "--like", str(tmp_path / "like.ckpt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("ts: warning: 1 of the source's biases get lost")
    assert "0.bias" in done.stderr
    assert "Not in target" in done.stdout
    assert (tmp_path / "net.ckpt").exists()
