"""What is no regular file: text is written through to it, and nothing is read from it that might never come."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core import commit
from ts_core.widget import object_dump, object_load

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices are paths there")

MAP = ts.WeightMap.from_pair({"a": "a"}, {})


def report():
    return ts.compare({"a": np.ones(2)}, {"a": np.ones(2)}, progress=False)


WRITERS = {
    "to_json": lambda path: report().to_json(path),
    "to_csv": lambda path: report().to_csv(path),
    "WeightMap.save": lambda path: MAP.save(path),
    "object_dump": lambda path: object_dump([1], path),
}
SAVERS = {
    "save_checkpoint": lambda path: ts.save_checkpoint({"a": np.ones(2)}, path, format="npz"),
    "convert": lambda path: ts.convert({"a": np.ones(2)}, path, format="npz", progress=False),
    "in shards": lambda path: ts.save_checkpoint(
        {"a": np.ones(2), "b": np.ones(2)}, path, format="safetensors", max_shard_size="16B"
    ),
}
READERS = {
    "open_checkpoint": ts.open_checkpoint,
    "convert": lambda path: ts.convert(path, path.with_name("out.npz")),
    "compare": lambda path: ts.compare(path, {"a": np.ones(2)}, progress=False),
    "WeightMap.load": ts.WeightMap.load,
    "weight_map=": lambda path: ts.convert({"a": np.ones(2)}, path.with_name("out.npz"), weight_map=path),
    "object_load": object_load,
}


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def device(tmp_path):
    """Another /dev/null: the real one is needed."""
    path = tmp_path / "null"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path.write_bytes(b"")
    except OSError:
        pytest.skip("only the administrator makes devices")
    return path


@pytest.mark.parametrize("write", WRITERS)
def test_text_goes_through_a_pipe(write, pipe, tmp_path):
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    WRITERS[write](pipe)
    reader.join()
    WRITERS[write](tmp_path / "file")
    assert received == [(tmp_path / "file").read_bytes()]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("linked", [False, True])
def test_a_device_stays_one(write, linked, device, tmp_path):
    (tmp_path / "link").symlink_to(device)
    WRITERS[write](tmp_path / "link" if linked else device)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_a_full_device_is_an_error_that_names_it():
    with pytest.raises(ts.errors.CheckpointWriteError, match=r"/dev/full: cannot be written: No space"):
        commit.write_text(Path("/dev/full"), "text")


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_checkpoint_is_a_regular_file(save, kind, request, tmp_path):
    path = request.getfixturevalue(kind)
    with pytest.raises(
        ts.errors.CheckpointWriteError, match=rf"{path.name}: cannot be written: it is a pipe or a device"
    ):
        SAVERS[save](path)
    assert not path.is_file()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("suffix", ["", ".safetensors", ".index.json", ".npy"])
def test_what_might_never_end_is_not_read(read, kind, suffix, request, tmp_path):
    path = request.getfixturevalue(kind)
    path = path.rename(path.with_name(path.name + suffix))
    with pytest.raises((ts.errors.TsError, OSError), match="pipe or a device"):
        READERS[read](path)


def test_nor_through_an_index(pipe, tmp_path):
    """Neither as the index beside a name, nor as a shard, nor as the index of a folder."""
    (tmp_path / "q.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "pipe"}}))
    with pytest.raises(ts.errors.CheckpointError, match="pipe"):
        ts.open_checkpoint(tmp_path / "q.safetensors")
    (tmp_path / "q.safetensors.index.json").unlink()
    pipe.rename(tmp_path / "q.safetensors.index.json")
    for path in (tmp_path / "q.safetensors", tmp_path, tmp_path / "q.safetensors.index.json"):
        with pytest.raises(ts.errors.CheckpointError, match="pipe or a device"):
            ts.open_checkpoint(path)


def test_nor_as_one_of_the_files_to_compare(pipe, tmp_path):
    np.save(tmp_path / "a.npy", np.ones(2))
    pipe.rename(tmp_path / "pipe.npy")
    report = ts.migrator.compare_npy_dir(tmp_path, tmp_path, name_map_list=[("a.npy", "pipe.npy")])
    assert "pipe or a device" in str(report.rows[0])


def run(command, folder):
    shell = f"{sys.executable} -m ts_core {command}"
    return subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def files(tmp_path):
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", w=np.ones(3))
    return tmp_path


def test_reports_on_standard_output(files):
    through = run("compare a.npz b.npz --quiet --csv /dev/stdout | cat", files)
    assert through.stdout.splitlines()[0].startswith("original,")
    assert through.stdout.splitlines()[-1].startswith("1 of 1")
    assert not through.stderr


@pytest.mark.parametrize("operator", [">", ">>"])
def test_standard_output_that_is_a_file_is_not_replaced(operator, files):
    (files / "out").write_text("before\n")
    run(f"compare a.npz b.npz --quiet --json /dev/stdout --csv /dev/fd/1 {operator} out", files)
    lines = (files / "out").read_text().splitlines()
    assert (lines[0] == "before") is (operator == ">>")
    assert any(line.startswith("original,") for line in lines)
    assert '"rows"' in (files / "out").read_text()
    assert lines[-1].startswith("1 of 1")


def test_a_checkpoint_does_not_replace_standard_output(files):
    result = run("convert a.npz /dev/stdout --format npz > out", files)
    assert result.returncode == 2
    assert "/dev/stdout: cannot be written: it is a pipe or a device" in result.stderr
    assert (files / "out").read_text() == ""


def test_a_map_on_standard_output(files):
    out = run("map a.npz --like b.npz --quiet -o /dev/stdout | cat", files).stdout
    assert json.loads(out)[0] == {"w": "w"}


def test_a_pipe_of_the_shell_is_refused_as_a_map(files):
    result = run('convert a.npz c.npz --map <(echo \'[{"w": "w"}, {}]\')', files)
    assert result.returncode == 2
    assert "pipe or a device" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_keeps_its_permissions_and_its_old_content_when_the_disk_is_full(write, tmp_path):
    import resource
    import signal

    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o600)
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limit[1]))
    try:
        with pytest.raises(ts.errors.TsError, match="file"):
            WRITERS[write](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "before"
    WRITERS[write](path)
    assert path.read_text() != "before"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
