"""Mapped files: what fails while it is read, what was replaced meanwhile, and how many files are open."""

import os
import pathlib
import sys

import numpy as np
import pytest

import ts_core as ts

needs_preadv = pytest.mark.skipif(not hasattr(os, "preadv"), reason="this system reads everything through the map")


@pytest.fixture
def unaligned(tmp_path):
    """A checkpoint whose second tensor lies at an odd address, so that it is copied out of the file."""
    pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework
    ts.save_checkpoint({"odd": np.ones(3, "i1"), "x": np.arange(1000, dtype="f4")}, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def _open_files():
    return sum(1 for _ in pathlib.Path("/dev/fd").iterdir())


def _disk_error(*_):
    raise OSError("the disk is gone")


@needs_preadv
@pytest.mark.parametrize(("read", "reason"), [(_disk_error, "the disk is gone"), (lambda *_: 0, "become shorter")])
def test_a_file_that_fails_while_its_numbers_are_read_is_a_row(unaligned, monkeypatch, read, reason):
    monkeypatch.setattr(os, "preadv", read)
    odd, x = ts.compare(unaligned, unaligned).rows
    assert odd
    assert x.status.value == "unreadable"
    assert reason in x.detail


@needs_preadv
def test_a_file_may_be_read_in_several_steps(unaligned, monkeypatch):
    monkeypatch.setattr(os, "preadv", lambda fd, into, at, read=os.preadv: read(fd, [into[0][:333]], at))
    other = {"odd": np.ones(3, "i1"), "x": np.arange(1000, dtype="f4")}
    assert ts.compare(unaligned, other)


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_opened_is_read_whatever_has_its_name_now(unaligned, gone):
    with ts.open_checkpoint(unaligned) as opened:
        unaligned.unlink()
        if not gone:
            ts.save_checkpoint({"odd": np.ones(3, "i1"), "x": np.zeros(1000, "f4")}, unaligned)
        assert ts.compare(opened, {"odd": np.ones(3, "i1"), "x": np.arange(1000, dtype="f4")})


@pytest.mark.skipif(sys.platform == "win32", reason="counts what is in /dev/fd")
def test_a_shard_takes_one_descriptor_and_gives_it_back(tmp_path):
    tensors = {f"w{i}": np.zeros(1000, "f4") for i in range(30)}
    ts.save_checkpoint(tensors, tmp_path / "a.safetensors", max_shard_size=5000)
    before = _open_files()
    with ts.open_checkpoint(tmp_path) as opened:
        assert ts.compare(opened, tensors)
        assert _open_files() - before <= 30
    del opened
    assert _open_files() == before


@pytest.mark.skipif(sys.platform == "win32", reason="counts what is in /dev/fd")
def test_the_descriptor_for_copies_goes_with_the_map(unaligned):
    before = _open_files()
    assert ts.compare(unaligned, unaligned)
    assert _open_files() == before
