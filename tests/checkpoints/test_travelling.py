"""A checkpoint pickles as what opens it, and is opened again where it is unpickled, if it is still the same."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

TENSORS = {"module.a": np.arange(6, dtype="f4").reshape(2, 3), "module.b": np.ones(3, "f4")}


@pytest.fixture(params=[".ckpt", ".pth", ".safetensors", ".npz", "shards", "folder", ".npy"])
def path(request, tmp_path):
    """A checkpoint of each kind."""
    if request.param == "shards":
        ts.save_checkpoint(TENSORS, tmp_path / "x.safetensors", max_shard_size=20)
        return tmp_path / "x.safetensors"
    if request.param in ("folder", ".npy"):
        (tmp_path / "x").mkdir()
        for name, array in TENSORS.items():
            np.save(tmp_path / "x" / f"{name}.npy", array)
        return tmp_path / "x" if request.param == "folder" else tmp_path / "x" / "module.a.npy"
    ts.save_checkpoint(TENSORS, tmp_path / f"x{request.param}")
    return tmp_path / f"x{request.param}"


def test_in_another_process_and_folder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    options = {} if path.suffix == ".npy" else {"strip_prefix": "module."}
    with ts.open_checkpoint(path.name, **options) as checkpoint:
        assert checkpoint.travels
        sent = pickle.dumps(checkpoint)
        script = "import pickle, sys, ts_core; c = pickle.load(sys.stdin.buffer); print([(n, c[n].sum()) for n in c])"
        run = subprocess.run([sys.executable, "-c", script], input=sent, capture_output=True, check=True, cwd="/")
        assert run.stdout.decode().strip() == str([(n, checkpoint[n].sum()) for n in checkpoint])


@pytest.mark.parametrize("damaged", [False, True])
def test_another_file_of_that_name_is_told(path, damaged):
    sent = pickle.dumps(ts.open_checkpoint(path))
    last = path if path.suffix == ".npy" else max(path.iterdir() if path.is_dir() else path.parent.iterdir())
    content = last.read_bytes()
    last.unlink()
    last.write_bytes(b"something else" if damaged else content)
    os.utime(last, ns=(1, 1))
    with pytest.raises(ts.errors.CheckpointError, match="was replaced since it was opened") as caught:
        pickle.loads(sent)
    assert str(last) in str(caught.value)
    last.unlink()
    with pytest.raises(ts.errors.CheckpointError):
        pickle.loads(sent)


def test_options_travel(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"model": {"w": torch.ones(1)}, "ema": {"w": torch.zeros(1)}}, tmp_path / "x.pth")
    with pickle.loads(pickle.dumps(ts.open_checkpoint(tmp_path / "x.pth", key="ema"))) as checkpoint:
        assert checkpoint["w"] == 0


def test_what_is_in_memory_does_not_travel():
    from ts_core.sources import open_source

    assert not open_source({"a": np.ones(1)}).travels
