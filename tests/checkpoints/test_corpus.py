"""Files that once broke a promise, and a few seconds' worth of new ones: see fuzzing/README.md."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

from fuzzing import __main__ as fuzzing
from fuzzing.targets import TARGETS, BrokenPromiseError, prepare, use_checkpoint

CORPUS = Path(fuzzing.__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.fixture
def folder(tmp_path):
    prepare(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_file_that_broke_a_promise(file, folder):
    target = TARGETS[file.parent.name]
    path = folder / target.file
    for number in range(7):
        path.write_bytes(file.read_bytes())
        target.use(path, number)


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_read(name, folder):
    target = TARGETS[name]
    for content in target.seeds():
        path = folder / target.file
        path.write_bytes(content)
        target.use(path, 0)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_files_are_always_the_same_and_mostly_others(name):
    target = TARGETS[name]
    seeds = target.seeds()
    files = [fuzzing.changed(target, seeds, f"seed:{number}") for number in range(30)]
    assert files == [fuzzing.changed(target, seeds, f"seed:{number}") for number in range(30)]
    assert len(set(files)) > 20


def test_broken_promises_are_noticed(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    path.write_bytes(TARGETS["npz"].seeds()[0])

    def broken(self, name):
        raise KeyError(name)

    monkeypatch.setattr("ts_core.checkpoints.formats._npz.NpzReader.read", broken)
    monkeypatch.setattr("ts_core.checkpoints._checkpoint.reading", lambda _: pytest.MonkeyPatch.context())
    with pytest.raises(KeyError):
        use_checkpoint(path, 0)
    monkeypatch.undo()
    monkeypatch.setattr("ts_core.checkpoints.formats._npz.NpzReader.read", lambda *_: TARGETS)
    with pytest.raises(BrokenPromiseError, match="announced"):
        use_checkpoint(path, 0)


def test_a_process_that_crashes_hangs_or_breaks_a_promise_is_told(monkeypatch):
    def use(path, number):
        if number == 3:
            raise ValueError("a broken promise")
        if number == 5:
            os._exit(9)

    monkeypatch.setitem(TARGETS, "npy", replace(TARGETS["npy"], use=use))
    worker = fuzzing._Worker("seed")
    number, found = worker.turn("npy", 0, 30)
    assert number == 6
    assert "a broken promise" in found[3][0]
    assert found[5][0] == "it ended the process: 9"
    assert worker.turn("npy", 10, 0.1)[0] > 10
    worker.stop()
