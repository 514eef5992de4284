"""A checkpoint of one name, as one file or as shards, is the old or the new one, for every reader at every moment."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.checkpoints import _replacement

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework

HERE = str(Path(__file__).parent)
NAME = "q.safetensors"
STATES = {"one": None, "three": 3, "five": 5}  # shards
LENGTH = 64


def tensors(value, count=15):
    return {f"t{n}": np.full(LENGTH, value + n, np.float32) for n in range(count)}


def write(folder, value, shards, name=NAME):
    size = None if shards is None else 15 // shards * LENGTH * 4
    ts.save_checkpoint(tensors(value), folder / name, max_shard_size=size)


def value_of(checkpoint):
    """The one value that a whole checkpoint was made with."""
    assert list(checkpoint) == [f"t{n}" for n in range(15)]
    (value,) = {float(number) - n for n in range(15) for number in checkpoint[f"t{n}"]}
    return value


def opened(folder, name=NAME):
    with ts.open_checkpoint(folder / name) as checkpoint:
        return value_of(checkpoint)


def listed(folder):
    index = folder / f"{NAME}.index.json"
    return {index.name, *json.loads(index.read_text())["weight_map"].values()} if index.exists() else {NAME}


def there(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_what_was_written_last_opens_and_nothing_else_stays(before, after, suffix, tmp_path):
    (tmp_path / "q-notes.txt").touch()
    for value, state in enumerate((before, after, before)):
        write(tmp_path, value, STATES[state], f"q{suffix}")
        assert opened(tmp_path, f"q{suffix}") == value
        if STATES[state]:
            assert opened(tmp_path, "") == value
            assert len(there(tmp_path)) == STATES[state] + 2
        else:
            assert there(tmp_path) == {f"q{suffix}", "q-notes.txt"}


def test_a_new_checkpoint_has_the_usual_names(tmp_path):
    write(tmp_path, 0, 3)
    usual = {f"q-{n:05}-of-00003.safetensors" for n in (1, 2, 3)} | {"q.safetensors.index.json"}
    assert there(tmp_path) == usual
    write(tmp_path, 1, 3)  # no shard is ever written over
    assert not there(tmp_path) & usual - {"q.safetensors.index.json"}
    write(tmp_path, 2, None)
    write(tmp_path, 3, 3)
    assert there(tmp_path) == usual


# A process of its own, without threads: for each moment a child of it writes the checkpoint and is killed right before
# its nth call of what can change a file. What is there then is old or new, by name and as a folder; and the next one to
# write leaves nothing of either behind.
KILLING = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_replacement import NAME, STATES, listed, opened, there, write

folder, before, after = Path(sys.argv[2]), STATES[sys.argv[3]], STATES[sys.argv[4]]
CHANGING = {"rename", "replace", "unlink", "open", "truncate", "ftruncate", "utime", "chmod", "fsync", "write", "flock"}
moment, outcomes, killed = 0, set(), True
while killed:
    moment += 1
    for path in folder.iterdir():
        path.unlink()
    write(folder, 0, before)
    if not (child := os.fork()):
        calls = 0
        def count(frame, event, argument):
            global calls
            if event == "c_call" and argument.__name__ in CHANGING:
                calls += 1
                if calls == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(count)
        write(folder, 100, after)
        sys.setprofile(None)
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    found = opened(folder)
    assert found in (0, 100), (moment, found)
    if list(folder.glob("*.index.json")):
        assert opened(folder, "") == found, (moment, found)
    outcomes.add(found)
    write(folder, 7, after)
    for left in folder.glob(".ts-*.tmp"):  # what nobody mistakes for a file
        left.unlink()
    assert opened(folder) == 7
    assert there(folder) == listed(folder), (moment, there(folder))
assert outcomes == {0, 100}
print(moment - 1)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("one", "one"), ("one", "three"), ("three", "one"), ("three", "three"), ("three", "five"), ("five", "three")],
)
def test_killed_at_every_change_of_a_file(before, after, tmp_path):
    command = [sys.executable, "-c", KILLING, HERE, str(tmp_path), before, after]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > (STATES[after] or 0) * 4


BESIDE = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_replacement import STATES, write
for value, state in zip(range(1, 61), itertools.cycle(sys.argv[3:])):
    write(Path(sys.argv[2]), value, STATES[state])
"""


@pytest.mark.parametrize(
    ("states", "name"), [(("three", "five"), NAME), (("three", "three", "five"), ""), (("one", "three", "five"), NAME)]
)
def test_a_reader_beside_the_writer_never_sees_a_mix(states, name, tmp_path):
    write(tmp_path, 0, STATES[states[0]])
    command = [sys.executable, "-c", BESIDE, HERE, str(tmp_path), *states]
    seen = []
    with subprocess.Popen(command) as writer:
        while writer.poll() is None:
            seen.append(opened(tmp_path, name))
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert opened(tmp_path, name) == 60


def test_two_writers_at_once_leave_one_of_the_two(tmp_path):
    command = [sys.executable, "-c", BESIDE, HERE, str(tmp_path), "three", "five", "one"]
    writers = [subprocess.Popen(command) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert opened(tmp_path) == 60


def test_only_shards_of_this_checkpoint_go(tmp_path):
    """An index may name any file beside it; it must not choose what is removed."""
    precious = ["id_rsa", "other-00001-of-00002.safetensors", "q.json", "q-00001-of-00002.pth"]
    for name in precious:
        (tmp_path / name).write_text("precious")
    names = [*precious, "../outside.safetensors", "q-00001-of-00002.safetensors"]
    index = {"weight_map": {str(n): name for n, name in enumerate(names)}}
    (tmp_path / "q.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path.parent / "outside.safetensors").touch()
    write(tmp_path, 1, 3)
    assert opened(tmp_path) == 1
    (tmp_path / "q.safetensors.index.json").write_text(json.dumps(index))
    write(tmp_path, 2, None)
    assert opened(tmp_path) == 2
    assert {*precious} <= there(tmp_path)
    assert (tmp_path.parent / "outside.safetensors").exists()
    (tmp_path.parent / "outside.safetensors").unlink()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weight_map": 3}', "\0" * 99])
def test_a_damaged_index_is_replaced_like_any_other(content, tmp_path):
    for shards in (3, None):
        (tmp_path / f"{NAME}.index.json").write_text(content)
        write(tmp_path, 1, shards)
        assert opened(tmp_path) == 1
        assert len(list(tmp_path.glob("*.index.json"))) == (shards is not None)


@pytest.mark.parametrize("shards", [None, 3])
def test_nothing_changes_when_a_rename_fails(shards, tmp_path, monkeypatch):
    write(tmp_path, 0, 5)
    before, replace = there(tmp_path), Path.replace

    def fail(self, target):
        if str(target).endswith(NAME if shards is None else ".index.json"):
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ts.errors.CheckpointWriteError, match="Input/output error"):
        write(tmp_path, 1, shards)
    monkeypatch.undo()
    assert there(tmp_path) == before
    assert opened(tmp_path) == 0


def test_a_journal_that_somebody_else_laid_out_is_not_followed(tmp_path):
    """A link under its name would have whoever made it choose the file that is written over."""
    write(tmp_path, 0, 3)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with _replacement.journal(tmp_path / NAME, ".safetensors") as note:
        note([tmp_path / "x"])
        (journal,) = tmp_path.glob(".ts-*.journal")
    assert not journal.exists()
    journal.symlink_to(victim)
    write(tmp_path, 1, 3)
    assert opened(tmp_path) == 1
    assert victim.read_text() == "precious"


def test_a_younger_index_goes_before_a_file_and_an_older_one_does_not(tmp_path):
    """Whoever wrote them."""
    write(tmp_path, 1, 3)
    (tmp_path / "aside").mkdir()
    write(tmp_path / "aside", 2, None)
    (tmp_path / "aside" / NAME).rename(tmp_path / NAME)
    assert opened(tmp_path) == opened(tmp_path, "") == 2
    later = (tmp_path / NAME).stat().st_mtime_ns + 1
    os.utime(tmp_path / f"{NAME}.index.json", ns=(later, later))
    assert opened(tmp_path) == opened(tmp_path, "") == 1


@pytest.mark.parametrize("content", [None, "", "{", '{"weight_map": {}}'])
def test_an_index_without_its_shards_does_not_hide_a_file(content, tmp_path):
    """As when of a repository with both only the smaller files were fetched."""
    write(tmp_path, 1, 3)
    (tmp_path / "q-00002-of-00003.safetensors").unlink()
    (tmp_path / "aside").mkdir()
    write(tmp_path / "aside", 2, None)
    (tmp_path / "aside" / NAME).rename(tmp_path / NAME)
    if content is not None:
        (tmp_path / f"{NAME}.index.json").write_text(content)
    later = (tmp_path / NAME).stat().st_mtime_ns + 1
    os.utime(tmp_path / f"{NAME}.index.json", ns=(later, later))
    assert opened(tmp_path) == 2


def test_a_clock_that_was_set_back(tmp_path):
    write(tmp_path, 1, None)
    os.utime(tmp_path / NAME, (4e9, 4e9))
    write(tmp_path, 2, 3)
    assert (tmp_path / f"{NAME}.index.json").stat().st_mtime_ns > 4 * 10**18
    assert opened(tmp_path) == 2


def test_a_sharded_source_may_be_its_own_destination(tmp_path):
    write(tmp_path, 1, 5)
    assert ts.convert(tmp_path / NAME, tmp_path / NAME, max_shard_size=f"{5 * LENGTH * 4}B", progress=False)
    assert opened(tmp_path) == 1
    assert ts.convert(tmp_path / NAME, tmp_path / NAME, progress=False)
    assert opened(tmp_path) == 1
    assert there(tmp_path) == {NAME}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o444, 0o666])
@pytest.mark.parametrize(("before", "after"), [("one", "one"), ("one", "three"), ("three", "one"), ("three", "five")])
def test_permissions_stay(mode, before, after, tmp_path):
    write(tmp_path, 0, STATES[before])
    for path in tmp_path.iterdir():
        path.chmod(mode)
    write(tmp_path, 1, STATES[after])
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {mode}


def test_nobody_may_read_while_it_is_written_who_may_not_read_it_then(tmp_path):
    write(tmp_path, 0, None)
    (tmp_path / NAME).chmod(0o600)
    seen = set()

    class Watching(dict):
        def __getitem__(self, name):
            seen.update(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(".ts-*.tmp"))
            return super().__getitem__(name)

    big = {name: np.zeros(1 << 15, np.float32) for name in ("a", "b")}
    ts.save_checkpoint(Watching(big), tmp_path / NAME)
    assert seen == {0o600}


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only the administrator may give files away")
def test_an_owner_stays(tmp_path):
    write(tmp_path, 0, None)
    os.chown(tmp_path / NAME, 65534, 65534)
    write(tmp_path, 1, None)
    assert ((tmp_path / NAME).stat().st_uid, (tmp_path / NAME).stat().st_gid) == (65534, 65534)


def test_a_name_that_leaves_no_room_for_a_number_is_refused_at_once(tmp_path):
    with pytest.raises(ts.errors.CheckpointWriteError, match="too long"):
        write(tmp_path, 1, 3, "q" * 240 + ".safetensors")
    assert not there(tmp_path)


def test_the_name_of_an_index_is_no_destination(tmp_path):
    path = tmp_path / f"{NAME}.index.json"
    for size in (None, "256B"):
        with pytest.raises(ts.errors.ArgumentError, match="what the index of shards is called"):
            ts.save_checkpoint(tensors(1), path, format="safetensors", max_shard_size=size)
    assert not there(tmp_path)


LIMITED = """
import resource, sys, numpy as np, ts_core as ts
path, count = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
tensors = {f"t{n}": np.full(2, n, np.float32) for n in range(count)}
for size in ("800B", "8B"):
    ts.save_checkpoint(tensors, path, max_shard_size=size)
    with ts.open_checkpoint(path, verify=True) as checkpoint:
        assert all((checkpoint[name] == array).all() for name, array in tensors.items())
"""


@pytest.mark.parametrize(("suffix", "count"), [(".safetensors", 2000), (".bin", 300)])
def test_more_shards_than_files_that_may_be_open(suffix, count, tmp_path):
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / f"q{suffix}"), str(count)], check=True)
    assert len(there(tmp_path)) == count + 1


def test_a_place_of_another_kind_is_refused_for_shards_too(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(ts.errors.CheckpointWriteError, match="directory"):
        write(tmp_path, 1, 3)
    assert there(tmp_path) == {NAME}
