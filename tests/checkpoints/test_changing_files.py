"""Files that are cut off, changed, removed or closed while they are in use: an error of ours, and no crash."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts
from ts_core.comparison import _metrics
from ts_core.contract import files

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

SIZE = 2_000_000
TENSORS = {"w": np.arange(SIZE, dtype=np.float32), "v": np.ones(3, np.float32)}
NAMES = ("x.npz", "x.safetensors", "x.ckpt", "x.pth", "folder")


def make(path):
    if path.name == "folder":
        path.mkdir()
        for name, array in TENSORS.items():
            np.save(path / f"{name}.npy", array)
        return path / "w.npy"
    ts.save_checkpoint(TENSORS, path)
    return path


@pytest.fixture(params=NAMES)
def opened(request, tmp_path):
    """An open checkpoint, and the file in which its large tensor is."""
    file = make(tmp_path / request.param)
    with ts.open_checkpoint(tmp_path / request.param) as checkpoint:
        yield checkpoint, file


def test_read_after_close(opened):
    checkpoint, _ = opened
    view = checkpoint["w"]
    checkpoint.close()
    for name in TENSORS:
        with pytest.raises(ts.errors.CheckpointError, match="closed") as caught:
            checkpoint[name]
        assert str(checkpoint.path) in str(caught.value)
        with pytest.raises(ts.errors.CheckpointError, match="closed"):
            checkpoint.runs(name)
    assert checkpoint.index["w"].shape == (SIZE,)
    np.testing.assert_array_equal(view, TENSORS["w"])
    with pytest.raises(KeyError):
        checkpoint["absent"]
    checkpoint.close()


def test_cut_off_before_it_is_read(opened):
    checkpoint, file = opened
    os.truncate(file, 3000)
    with pytest.raises(ts.errors.CheckpointError, match=r"shorter|replaced") as caught:
        checkpoint["w"]
    assert file.name in str(caught.value)


def test_written_to_in_place_before_it_is_read(opened):
    """The same size, and another dtype: what the index says of the bytes is not true any more."""
    checkpoint, file = opened
    content = file.read_bytes()
    os.utime(file, ns=(1, 1))
    with file.open("r+b") as stream:
        stream.write(content)
    with pytest.raises(ts.errors.CheckpointError, match=r"changed|replaced") as caught:
        checkpoint["w"]
    assert file.name in str(caught.value)


def test_a_file_of_a_folder_that_is_replaced_or_removed(tmp_path):
    make(tmp_path / "folder")
    for read in (ts.open_checkpoint, lambda path: ts.open_checkpoint(path, strip_prefix="w")):
        checkpoint = read(tmp_path / "folder")
        name = next(name for name, info in checkpoint.index.items() if info.shape == (SIZE,))
        np.save(tmp_path / "folder" / "w.npy", TENSORS["w"].view(np.int32))
        with pytest.raises(ts.errors.CheckpointError, match=r"w\.npy.*replaced"):
            checkpoint[name]
        np.save(tmp_path / "folder" / "w.npy", TENSORS["w"])
    checkpoint = ts.open_checkpoint(tmp_path / "folder")
    status = (tmp_path / "folder" / "w.npy").stat()
    np.save(tmp_path / "folder" / "w.npy", TENSORS["w"].view(np.int32))
    os.utime(
        tmp_path / "folder" / "w.npy", ns=(status.st_atime_ns, status.st_mtime_ns)
    )  # in the same tick of the clock
    with pytest.raises(ts.errors.CheckpointError, match=r"w\.npy.*replaced"):
        checkpoint["w"]
    (tmp_path / "folder" / "w.npy").unlink()
    with pytest.raises(ts.errors.CheckpointNotFoundError, match=r"w\.npy"):
        checkpoint["w"]
    report = ts.compare(checkpoint, TENSORS)
    assert [row.status.value for row in report if row.original == "w"] == ["unreadable"]


@pytest.mark.parametrize("name", NAMES)
def test_a_relative_path_after_the_process_went_elsewhere(name, tmp_path, monkeypatch):
    make(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    checkpoint = ts.open_checkpoint(name)
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(checkpoint["w"], TENSORS["w"])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(checkpoint))["w"], TENSORS["w"])
    assert ts.compare(checkpoint, tmp_path / name)


@pytest.mark.parametrize("after", [1, 4])
def test_cut_off_while_it_is_compared(opened, after, monkeypatch):
    """At the block of this number; one side of the comparison is in memory."""
    checkpoint, file = opened
    real, count = _metrics._whichever_way, 0

    def ends(sums, block):
        nonlocal count
        count += 1
        if count == after:
            os.truncate(file, 3000)
        real(sums, block)

    monkeypatch.setattr(_metrics, "_whichever_way", ends)
    report = ts.compare({"w": TENSORS["w"]}, checkpoint, weight_map=({"w": "w"}, {}), workers=1)
    (row,) = [row for row in report if row.original == "w"]
    assert row.status.value == "unreadable"
    assert "shorter" in row.detail
    assert not report


def test_cut_off_while_it_is_converted(opened, tmp_path, monkeypatch):
    checkpoint, file = opened
    real, monkeyed = files.raw_bytes, []

    def raw_bytes(array):
        if array.nbytes > 1000 and not monkeyed:
            monkeyed.append(os.truncate(file, 3000))
            return memoryview(bytes(array.nbytes))
        return real(array)

    monkeypatch.setattr(files, "raw_bytes", raw_bytes)
    monkeypatch.setattr(files, "_BLOCK", 1 << 20)
    with pytest.raises(ts.errors.TsError, match="shorter"):
        ts.convert(checkpoint, tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()


def test_a_process_outlives_a_file_that_shrinks_under_it(tmp_path):
    """Somebody cuts the file off again and again, wherever the comparison is: it never dies of it."""
    ts.save_checkpoint(TENSORS, tmp_path / "good.safetensors")
    code = (
        "import os, sys, shutil, ts_core as ts, numpy as np\n"
        "from ts_core.comparison import _metrics\n"
        "good, bad = sys.argv[1:]\n"
        "real, calls = _metrics._whichever_way, [0]\n"
        "def ends(sums, block):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == stop: os.truncate(bad, 100)\n"
        "    real(sums, block)\n"
        "_metrics._whichever_way = ends\n"
        "for stop in range(1, 8):\n"
        "    shutil.copy(good, bad); calls[0] = 0\n"
        "    report = ts.compare(good, ts.open_checkpoint(bad), workers=1, weight_map=({'w': 'w', 'v': None}, {}))\n"
        "    assert not report, stop\n"
    )
    words = [sys.executable, "-c", code, tmp_path / "good.safetensors", tmp_path / "bad.safetensors"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_that_is_replaced_by_rename_or_removed_stays_as_it_was(opened, tmp_path):
    checkpoint, file = opened
    if file.name == "w.npy":
        return  # which is opened when it is asked for
    ts.save_checkpoint({"w": np.zeros(5)}, tmp_path / f"other{file.suffix}")
    (tmp_path / f"other{file.suffix}").replace(file)
    np.testing.assert_array_equal(checkpoint["w"], TENSORS["w"])
    file.unlink()
    np.testing.assert_array_equal(checkpoint["w"], TENSORS["w"])


def test_a_shard_whose_name_is_too_long(tmp_path):
    index = tmp_path / "x.safetensors.index.json"
    index.write_text('{"weight_map": {"w": "%s"}}' % ("x" * 300))
    with pytest.raises(ts.errors.CheckpointError, match=r"x\.safetensors\.index\.json"):
        ts.open_checkpoint(index)
