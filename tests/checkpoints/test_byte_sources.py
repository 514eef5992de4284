"""Files as byte sources: how many may be open, what a range and an array of one are, and what is let go of."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.byte_sources import MappedFile, copy_bytes, place_of, release
from ts_core.contract.files import raw_blocks, raw_bytes


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit to set")
def test_more_shards_than_a_process_may_open(tmp_path):
    tensors = {f"w{number:04}": np.full(4, number, "f4") for number in range(2000)}
    ts.save_checkpoint(tensors, tmp_path / "a.safetensors", max_shard_size=16)
    script = (
        "import resource, sys, ts_core as ts\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
        "with ts.open_checkpoint('.') as checkpoint:\n"
        "    assert len(checkpoint) == 2000\n"
        "    assert ts.convert(checkpoint, 'b.safetensors', progress=False)\n"
        "    assert ts.compare(checkpoint, 'b.safetensors', progress=False)\n"
        "    assert ts.compare('a.safetensors', checkpoint, progress=False)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_the_interpreter_may_end_with_views_at_hand(tmp_path):
    ts.save_checkpoint({"odd": np.ones(3, "i1"), "x": np.arange(1000, dtype="f4")}, tmp_path / "a.safetensors")
    script = (
        "import ts_core as ts\nfrom ts_core.contract.byte_sources import copy_bytes\n"
        "checkpoint = ts.open_checkpoint('a.safetensors'); x = checkpoint['x']; copy_bytes(x, x.copy())\n"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert not run.stderr


@pytest.fixture
def mapped(tmp_path):
    np.arange(1 << 20, dtype="<u4").tofile(tmp_path / "x")
    return MappedFile(tmp_path / "x")


def test_ranges_and_arrays(mapped, tmp_path):
    assert len(mapped) == 4 << 20
    assert bytes(mapped.read(4, 8)) == b"\1\0\0\0"
    assert not mapped.read(1 << 30, 1 << 31)
    array = mapped.array(8, (2, 3), np.dtype("<u4"))
    assert array.tolist() == [[2, 3, 4], [5, 6, 7]]
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE flag"):
        array.flags.writeable = True
    assert mapped.array(40, (3,), np.dtype("<u4"), (-4,)).tolist() == [10, 9, 8]
    assert mapped.array(1, (1,), np.dtype("<u4")).tolist() == [1 << 24]
    empty = mapped.array(4 << 20, (0, 7), np.dtype("<u4"))
    assert empty.shape == (0, 7)
    assert not empty.flags.writeable
    file, offset = place_of(array[1:, ::2])
    assert (file.path, file.identity, offset) == (str(tmp_path / "x"), mapped.identity, 20)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(-4, (1,), None), ((4 << 20) - 3, (1,), None), (0, (1 << 62,), None), (0, (3,), (-4,)), (0, (2,), (4 << 20,)),
     (1 << 40, (0,), None), (0, (-1,), None)],
)  # fmt: skip
def test_what_lies_outside_is_refused(mapped, offset, shape, strides):
    with pytest.raises(ts.errors.CheckpointError, match="outside the file"):
        mapped.array(offset, shape, np.dtype("<u4"), strides)


def test_views_outlive_everything(mapped, tmp_path):
    array = mapped.array(0, (1 << 20,), np.dtype("<u4"))
    mapped.close()
    (tmp_path / "x").unlink()
    release(array)
    target = np.empty_like(array)
    copy_bytes(array, target)
    del mapped
    assert (array == target).all()
    assert array[-1] == (1 << 20) - 1


def test_an_open_file_over_a_source(mapped):
    with mapped.stream() as stream:
        assert stream.seek(-4, 2) == (4 << 20) - 4
        assert stream.read() == b"\xff\xff\x0f\0"
        assert not stream.read(1)
        stream.seek(0)
        assert stream.read(8)[4] == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its own size from /proc")
def test_blocks_are_let_go_of(tmp_path):
    (tmp_path / "x").write_bytes(bytes(200 << 20))
    array = MappedFile(tmp_path / "x").array(0, (200 << 20,), np.dtype("u1"))

    def mapped_pages():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("RssFile:"))

    before = peak = mapped_pages()
    for block in raw_blocks(array):
        assert block[-1] == 0
        peak = max(peak, mapped_pages())
    assert peak - before < 32
    assert mapped_pages() - before < 4


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
@pytest.mark.parametrize("shape", [(300, 200, 100), (1, 3_000_000, 3), (2, 1, 7_000_000)])
def test_blocks_join_to_the_bytes(order, shape):
    array = np.arange(np.prod(shape), dtype=">f4").reshape(shape).transpose(order)[:, ::2]
    for one in (array, array.astype("<f8"), array[0, 0], array[0, 0, 0], array[:0]):
        blocks = [bytes(block) for block in raw_blocks(one)]
        assert b"".join(blocks) == bytes(raw_bytes(one))
        assert all(0 < len(block) <= 1 << 24 for block in blocks)
