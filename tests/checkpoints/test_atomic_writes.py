"""A file appears whole or not at all: full disks, limits, read-only folders, killed processes."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

SUFFIXES = [".ckpt", ".pth", ".safetensors", ".npz"]
OLD = {"old": np.arange(5, dtype=np.float32)}


class FailingError(Exception):
    pass


@pytest.fixture
def limited():
    """No file may grow beyond 200 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("sizes", [(1 << 20,), (10_000,) * 20, (1 << 19,) * 3])
def test_a_full_disk_leaves_the_old_file(suffix, sizes, tmp_path, same, no_leftovers, limited):
    path = tmp_path / f"x{suffix}"
    ts.save_checkpoint(OLD, path)
    with pytest.raises(ts.errors.CheckpointWriteError, match=str(path)):
        ts.save_checkpoint({str(n): np.zeros(size, np.float32) for n, size in enumerate(sizes)}, path)
    same(OLD, ts.open_checkpoint(path))
    no_leftovers()


def test_a_full_disk_while_writing_shards(tmp_path, no_leftovers, limited):
    tensors = {"a": np.zeros(10, np.float32), "b": np.zeros(1 << 20, np.float32)}
    with pytest.raises(OSError, match="cannot be written"):
        ts.save_checkpoint(tensors, tmp_path / "x.safetensors", max_shard_size="1KB")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_little_room_is_said_before_anything_is_written(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000})())
    with pytest.raises(ts.errors.CheckpointWriteError, match="GB are free"):
        ts.save_checkpoint({"a": np.zeros(1 << 20, np.float32)}, tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written(tmp_path):
    code = (
        "import os, sys, numpy as np, ts_core as ts\n"
        "ts.save_checkpoint({'a': np.ones(2)}, sys.argv[2])\n"  # imports what it needs while it may
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: ts.save_checkpoint({'a': np.ones(2)}, sys.argv[1])\n"
        "except ts.errors.CheckpointWriteError as problem: print(problem); sys.exit(7)\n"
    )
    folder = tmp_path / "locked"
    folder.mkdir()
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    folder.chmod(0o555)
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder / "x.npz"), str(tmp_path / "fine.npz")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 7, result.stderr
    assert str(folder / "x.npz") in result.stdout
    assert "ermission" in result.stdout
    assert not list(folder.iterdir())


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "folder.ckpt").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "absent" / "x.ckpt", tmp_path / "folder.ckpt", tmp_path / "file" / "x.ckpt"):
        with pytest.raises(ts.errors.CheckpointWriteError, match=path.name):
            ts.save_checkpoint(OLD, path)
    with pytest.raises(ts.errors.CheckpointWriteError, match=r"there is no folder .*absent"):
        ts.save_checkpoint(OLD, tmp_path / "absent" / "x.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.ckpt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_source_that_fails_half_way(suffix, tmp_path, same, no_leftovers, monkeypatch):
    path = tmp_path / f"x{suffix}"
    ts.save_checkpoint(OLD, path)
    tensors = {"a": np.zeros(300_000, np.float32), "b": np.zeros(10)}
    opened = ts.open_checkpoint(_saved(tensors, tmp_path / "source.safetensors"))
    read = opened.read

    def fail(name):
        if name == "b":
            raise FailingError
        return read(name)

    monkeypatch.setattr(opened, "read", fail)
    with pytest.raises(FailingError):
        ts.save_checkpoint(opened, path)
    same(OLD, ts.open_checkpoint(path))
    no_leftovers()


def _saved(tensors, path):
    ts.save_checkpoint(tensors, path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_read_only_target_is_replaced(suffix, tmp_path, weights, same):
    path = _saved(OLD, tmp_path / f"x{suffix}")
    path.chmod(0o400)  # as MindSpore leaves its files
    ts.save_checkpoint(weights, path)
    same(weights, ts.open_checkpoint(path))


def test_a_view_outlives_the_file_that_was_replaced(tmp_path):
    path = _saved({"a": np.arange(100_000)}, tmp_path / "x.ckpt")
    with ts.open_checkpoint(path) as checkpoint:
        array = checkpoint["a"]
    ts.save_checkpoint(OLD, path)
    assert (array == np.arange(100_000)).all()


def test_a_link_is_followed(tmp_path, same):
    real = _saved(OLD, tmp_path / "real.ckpt")
    (tmp_path / "link.ckpt").symlink_to("real.ckpt")
    ts.save_checkpoint({"new": np.ones(1)}, tmp_path / "link.ckpt")
    assert (tmp_path / "link.ckpt").is_symlink()
    assert list(ts.open_checkpoint(real)) == ["new"]


def test_the_modes_of_a_file_are_those_of_any_new_file(tmp_path):
    mask = os.umask(0o027)
    try:
        path = _saved(OLD, tmp_path / "x.ckpt")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_long_name(tmp_path, same):
    path = tmp_path / ("x" * 250 + ".ckpt")
    same(OLD, ts.open_checkpoint(_saved(OLD, path)))


# Kills itself before its nth call of a function, so that the moments are spread over the work however fast the machine
# is; with n = 0 it ends by itself and tells how many calls there were.
CONVERSIONS = """
import json, os, signal, sys, ts_core as ts
source, path, options, times, last = sys.argv[1:]
options, calls, last = json.loads(options), 0, int(last)
ts.convert
def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")
    if calls == last:
        os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(count)
for _ in range(int(times)):
    ts.convert(source, path, progress=False, **options)
sys.setprofile(None)
print(calls)
"""


def _converting(source, path, times=1, last=0, **options):
    command = [sys.executable, "-c", CONVERSIONS, source, path, json.dumps(options), times, last]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def _moments(calls, count):
    """Evenly spread over ``calls`` calls."""
    return [1 + calls * (2 * turn + 1) // (2 * count) for turn in range(count)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_any_moment(suffix, tmp_path, same):
    """In the first conversion or the second: the destination is old or complete, and can be written again."""
    tensors = {f"t{n}": np.full((256, 1024), n, np.float32) for n in range(24)}
    source, path = _saved(tensors, tmp_path / "source.pth"), tmp_path / f"x{suffix}"
    outcomes = set()
    for moment in _moments(int(_converting(source, path, times=2).stdout), 6):
        _saved(OLD, path)
        assert _converting(source, path, times=2, last=moment).returncode == -signal.SIGKILL
        with ts.open_checkpoint(path) as checkpoint:
            outcomes.add("old" in checkpoint)
            same(OLD if "old" in checkpoint else tensors, checkpoint)
        ts.convert(source, path, progress=False)
        same(tensors, ts.open_checkpoint(path))
        for left in tmp_path.glob(".ts-*"):  # what a killed process cannot clear away, and nobody mistakes for a file
            left.unlink()
    assert outcomes == {True, False}


def test_killed_while_writing_shards(tmp_path, same):
    """The index takes its name last: with it, everything is there."""
    tensors = {f"t{n}": np.full((64, 1024), n, np.float32) for n in range(24)}
    source = _saved(tensors, tmp_path / "source.pth")
    calls = int(_converting(source, tmp_path / "x.safetensors", max_shard_size="1MB").stdout)
    for moment in _moments(calls, 8):
        folder = tmp_path / str(moment)
        folder.mkdir()
        path = folder / "x.safetensors"
        assert _converting(source, path, last=moment, max_shard_size="1MB").returncode == -signal.SIGKILL
        if (folder / "x.safetensors.index.json").exists():
            same(tensors, ts.open_checkpoint(folder))
        else:
            with pytest.raises(ts.errors.CheckpointError):
                ts.open_checkpoint(path)
