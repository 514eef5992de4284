"""``ts.convert`` and the commands ``ts convert`` and ``ts inspect``: names, layouts, casts, shards, reports."""

import json

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core.cli import cli

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework


@pytest.fixture
def networks():
    """The same network in both frameworks, with layers whose names and layouts differ."""
    torch = pytest.importorskip("torch")
    mindspore = pytest.importorskip("mindspore")
    nn, mnn = torch.nn, mindspore.nn
    torch.manual_seed(0)
    source = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(4, 5), nn.LayerNorm(5))
    target = mnn.SequentialCell(
        mnn.Conv1d(2, 3, 3, has_bias=True, pad_mode="valid"),
        mnn.BatchNorm1d(3),
        mnn.ReLU(),
        mnn.Dense(4, 5),
        mnn.LayerNorm((5,), epsilon=1e-5),
    )
    return source.eval(), target.set_train(False)


@pytest.fixture
def state_dict_file(networks, tmp_path):
    import torch

    torch.save(networks[0].state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def outputs_agree(source, target):
    import mindspore
    import torch

    x = np.random.default_rng(0).standard_normal((2, 2, 6)).astype(np.float32)
    expected = source(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(target(mindspore.Tensor(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)


def load(target, path):
    import mindspore

    loaded = mindspore.load_checkpoint(str(path))
    missing, _ = mindspore.load_param_into_net(target, loaded)
    assert not missing


def test_to_a_framework_from_a_file_alone(networks, state_dict_file, tmp_path):
    report = ts.convert(state_dict_file, tmp_path / "net.ckpt", to="mindspore", progress=False)
    assert report
    assert [row.source for row in report] == list(networks[0].state_dict())
    assert {row.target: row.status for row in report}["1.moving_mean"] == "running_mean->moving_mean"
    assert "Value converted" in {row.source: row.status for row in report}["0.weight"]
    load(networks[1], tmp_path / "net.ckpt")
    outputs_agree(*networks)


def test_to_a_framework_from_a_network(networks, tmp_path):
    assert ts.convert(networks[0], tmp_path / "net.ckpt", to="mindspore", progress=False)
    load(networks[1], tmp_path / "net.ckpt")
    outputs_agree(*networks)


@pytest.mark.parametrize("as_file", [True, False])
def test_like_a_target(networks, state_dict_file, tmp_path, as_file):
    import mindspore

    source, target = networks
    if as_file:
        mindspore.save_checkpoint(target, str(tmp_path / "target.ckpt"))
    like = tmp_path / "target.ckpt" if as_file else target
    report = ts.convert(state_dict_file, tmp_path / "net.ckpt", target=like, progress=False)
    assert report
    (left_out,) = (row for row in report if row.target is None)
    assert left_out.source == "1.num_batches_tracked"
    assert "Not applicable" in left_out.status
    load(target, tmp_path / "net.ckpt")
    outputs_agree(source, target)


def test_from_mindspore_to_torch(networks, tmp_path):
    import mindspore

    source, target = networks
    mindspore.save_checkpoint(target, str(tmp_path / "net.ckpt"))
    ts.convert(tmp_path / "net.ckpt", tmp_path / "net.pth", target=source, progress=False)
    import torch

    missing, unexpected = source.load_state_dict(torch.load(tmp_path / "net.pth"), strict=False)
    assert not missing
    assert not unexpected
    outputs_agree(source, target)


def test_a_weight_map_as_a_value_a_pair_and_a_file(networks, state_dict_file, tmp_path, same):
    found = ts.weight_map(networks[0])
    found.save(tmp_path / "map.json")
    results = []
    for number, given in enumerate((found, found.to_pair(), tmp_path / "map.json", str(tmp_path / "map.json"))):
        ts.convert(state_dict_file, tmp_path / f"{number}.ckpt", weight_map=given, progress=False)
        results.append(ts.open_checkpoint(tmp_path / f"{number}.ckpt"))
    for other in results[1:]:
        same(results[0], other)
    assert "1.gamma" in results[0]


def test_what_stays_ambiguous_is_an_error_that_names_it(tmp_path):
    state = {"emb.weight": np.ones((5, 3), np.float32), "fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2)}
    ts.save_checkpoint(state, tmp_path / "x.pth")
    with pytest.raises(ts.errors.WeightMapError, match=r"emb\.weight.*embedding_table") as caught:
        ts.convert(tmp_path / "x.pth", tmp_path / "x.ckpt", to="mindspore")
    assert "fc.weight" not in str(caught.value)
    assert "target=" in str(caught.value)
    assert not (tmp_path / "x.ckpt").exists()


def test_without_a_map_the_names_stay_and_the_report_says_so(tmp_path, weights, same):
    ts.save_checkpoint(weights, tmp_path / "x.pth")
    report = ts.convert(tmp_path / "x.pth", tmp_path / "x.ckpt")
    same(weights, ts.open_checkpoint(tmp_path / "x.ckpt"))
    assert "names stay unchanged" in str(report)
    assert [row.status for row in report] == ["Consistent"] * len(weights)


def test_a_map_must_speak_of_every_tensor(tmp_path, weights):
    ts.save_checkpoint(weights, tmp_path / "x.pth")
    names = {name: name for name in weights if name != "mask"}
    with pytest.raises(ts.errors.WeightMapError, match=r"is it for another checkpoint.*\n.*mask"):
        ts.convert(tmp_path / "x.pth", tmp_path / "x.ckpt", weight_map=(names, {}))
    with pytest.raises(ts.errors.WeightMapError, match="surplus"):
        ts.convert(tmp_path / "x.pth", tmp_path / "x.ckpt", weight_map=({**names, "mask": "m", "surplus": "s"}, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def test_contradicting_arguments(tmp_path, weights):
    with pytest.raises(ts.errors.ArgumentError, match="to and weight_map"):
        ts.convert(weights, tmp_path / "x.ckpt", to="mindspore", weight_map=({}, {}))
    with pytest.raises(ts.errors.ArgumentError, match="no plug-in for a framework called 'pytorch'"):
        ts.convert(weights, tmp_path / "x.ckpt", to="pytorch")
    with pytest.raises(ts.errors.ArgumentError, match="suffix"):
        ts.convert(weights, tmp_path / "x.unknown")
    with pytest.raises(ts.errors.ArgumentError, match="format"):
        ts.convert(weights, tmp_path / "x.ckpt", format="unknown")


def test_an_unsupported_dtype_names_the_cast_that_resolves_it(tmp_path):
    tensors = {
        "a": np.array([1, 2.5], ml_dtypes.float8_e4m3fn),
        "b": np.array([1, 2], np.float32),
        "c": np.ones((1, 2), ml_dtypes.float8_e5m2),
    }
    ts.save_checkpoint(tensors, tmp_path / "x.safetensors")
    with pytest.raises(ts.errors.UnsupportedDtypeError, match="--cast float8_e4m3fn=float32") as caught:
        ts.convert(tmp_path / "x.safetensors", tmp_path / "x.ckpt")
    assert "a: " in str(caught.value)
    assert "c: " in str(caught.value)
    assert not (tmp_path / "x.ckpt").exists()
    report = ts.convert(
        tmp_path / "x.safetensors",
        tmp_path / "x.ckpt",
        cast={"float8_e4m3fn": "float32", "float8_e5m2": "bfloat16"},
    )
    assert [row.status for row in report] == [
        "Consistent; float8_e4m3fn->float32", "Consistent", "Consistent; float8_e5m2->bfloat16",
    ]  # fmt: skip
    with ts.open_checkpoint(tmp_path / "x.ckpt") as checkpoint:
        assert checkpoint["a"].dtype == np.float32
        assert checkpoint["a"].tolist() == [1, 2.5]
        assert checkpoint["c"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(("cast", "reason"), [({"float": "quux"}, "quux"), ({"complex64": "float32"}, "imaginary")])
def test_casts_that_cannot_be(tmp_path, cast, reason):
    with pytest.raises(ts.errors.ArgumentError, match=reason):
        ts.convert({"a": np.ones(1, np.complex64)}, tmp_path / "x.npz", cast=cast)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards(tmp_path, suffix, same):
    tensors = {f"layer.{n}": np.full((10, 10), n, np.float32) for n in range(7)}
    tensors["big"] = np.arange(400, dtype=np.float32)
    path = tmp_path / f"model{suffix}"
    ts.convert(tensors, path, max_shard_size="1KB", progress=False)
    index = json.loads((tmp_path / f"model{suffix}.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in tensors.values())
    assert list(index["weight_map"]) == list(tensors)
    shards = sorted(set(index["weight_map"].values()))
    assert shards == [f"model-{n:05}-of-00005{suffix}" for n in range(1, 6)]
    assert not path.exists()
    for place in (path, tmp_path, tmp_path / f"model{suffix}.index.json"):
        same(tensors, ts.open_checkpoint(place))
    ts.convert(tmp_path, tmp_path / "one.ckpt", progress=False)
    same(tensors, ts.open_checkpoint(tmp_path / "one.ckpt"))


def test_shards_of_one_file(tmp_path, weights, same):
    ts.convert(weights, tmp_path / "model.safetensors", max_shard_size="5GB", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    same(weights, ts.open_checkpoint(tmp_path / "model.safetensors"))


def test_a_ckpt_cannot_be_split(tmp_path, weights):
    with pytest.raises(ts.errors.ArgumentError, match="max_shard_size"):
        ts.convert(weights, tmp_path / "x.ckpt", max_shard_size=100)
    for size in ("0GB", "5 apples", -1):
        with pytest.raises(ts.errors.ArgumentError, match="max_shard_size"):
            ts.convert(weights, tmp_path / "x.safetensors", max_shard_size=size)


def test_source_and_destination_may_be_the_same_file(tmp_path, weights, same):
    path = tmp_path / "x.ckpt"
    ts.save_checkpoint(weights, path, format="torch")
    ts.convert(path, path, format="mindspore", progress=False)
    same(weights, ts.open_checkpoint(path))
    assert ts.open_checkpoint(path).format == "mindspore"


def test_metadata_that_the_format_cannot_hold_is_reported(tmp_path):
    tensors = {"w": np.ones(1)}
    ts.save_checkpoint(tensors, tmp_path / "x.pth", metadata={"epoch": 3, "list": [1, 2], "note": "n"})
    with pytest.warns(ts.errors.ConversionWarning, match=r"x\.ckpt.*dropped: list"):
        report = ts.convert(tmp_path / "x.pth", tmp_path / "x.ckpt")
    assert report
    assert "dropped: list" in str(report)
    with pytest.warns(ts.errors.ConversionWarning, match=r"x\.safetensors.*dropped: epoch, list"):
        ts.save_checkpoint(ts.open_checkpoint(tmp_path / "x.pth"), tmp_path / "x.safetensors")
    assert ts.open_checkpoint(tmp_path / "x.safetensors").metadata["note"] == "n"


def test_command_line(networks, state_dict_file, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)

    result = run("convert", state_dict_file, tmp_path / "a.ckpt", "--to", "mindspore", "--cast", "float32=float16")
    assert result.output.endswith(f"Written: {tmp_path / 'a.ckpt'}\n")
    assert result.exit_code == 0
    assert "Parameter name of MindSpore" in result.output
    assert ts.open_checkpoint(tmp_path / "a.ckpt")["1.gamma"].dtype == np.float16
    result = run("convert", state_dict_file, tmp_path / "b.ckpt", "--like", tmp_path / "a.ckpt", "--quiet")
    assert result.exit_code == 0
    assert not result.output
    assert set(ts.open_checkpoint(tmp_path / "b.ckpt")) <= set(ts.open_checkpoint(tmp_path / "a.ckpt"))
    ts.weight_map(networks[0]).save(tmp_path / "m.json")
    result = run(
        "convert", state_dict_file, tmp_path / "c.safetensors", "--map", tmp_path / "m.json", "--max-shard-size", "100B"
    )
    assert result.exit_code == 0
    result = run("inspect", tmp_path / "c.safetensors")
    assert result.exit_code == 0
    assert "1.gamma" in result.output
    assert "(3, 2, 1, 3)" in result.output
    assert "safetensors: 11 tensors" in result.output
    assert run("convert", state_dict_file, tmp_path / "d.ckpt", "--cast", "float32").exit_code == 2


def test_an_unknown_file_says_what_is_in_it(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(ts.errors.CheckpointError, match="47 49 46 38") as caught:
        ts.open_checkpoint(tmp_path / "x.pth")
    for format in ("torch", "mindspore", "safetensors", "npz"):
        assert format in str(caught.value)
    with pytest.raises(ts.errors.CheckpointNotFoundError):
        ts.open_checkpoint(tmp_path / "absent.pth")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ts.errors.CheckpointError, match=r"\.npy"):
        ts.open_checkpoint(tmp_path / "empty")


def test_a_checkpoint_that_the_caller_opened_stays_open(tmp_path, weights, same):
    ts.save_checkpoint(weights, tmp_path / "x.pth")
    with ts.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        ts.convert(checkpoint, tmp_path / "a.ckpt", progress=False)
        ts.convert(checkpoint, tmp_path / "b.ckpt", progress=False)
        same(weights, checkpoint)
