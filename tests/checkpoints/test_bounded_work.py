"""The work that a file asks for is bounded by its size, whatever its pickle does: steps are counted, not seconds.

A pickle can name a thing again in two bytes. Whoever then copies, hashes, prints or walks through it each time can be
made to work for as long as one likes. A step is a call of a function; memory is that of Python's own objects.
"""

import io
import pickle
import struct
import sys
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.cli import cli
from ts_core.contract.pickles import PickleBytes, brief, load

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework

STEPS, STEPS_EACH = 3_000_000, 200  # of any file, and for each of its bytes
MEMORY, MEMORY_EACH = 64 << 20, 100


class TooManyStepsError(BaseException):
    """Not an Exception, so that nobody takes it for what is wrong with a file."""


def counted(function, size):
    """What a function answers, and how many steps it took; it is stopped when they are too many."""
    steps = 0
    most = STEPS + STEPS_EACH * size

    def step(*_):
        nonlocal steps
        steps += 1
        if steps > most:
            sys.setprofile(None)
            raise TooManyStepsError(f"more than {most} steps for {size} bytes")

    sys.setprofile(step)
    try:
        answer = function()
    except ts.errors.TsError as problem:
        answer = problem
    finally:
        sys.setprofile(None)
    return answer, steps


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    + b"K\x04tQK\0K\x04\x85K\x01\x85\x89)tR"
)  # fmt: skip


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", content)
        archive.writestr("x/data/0", struct.pack("<4f", 1, 2, 3, 4))
        archive.writestr("x/version", "3\n")
    return path


def stream(path, content):
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    path.write_bytes(head + content + pickle.dumps([], 2))
    return path


def tar(path, storages, content=b"\x80\x02}."):
    with tarfile.open(path, "w") as archive:
        for name, data in (("storages", storages), ("tensors", pickle.dumps(0, 2)), ("pickle", content)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def doubled(seed=b"N", times=40):
    """A tuple of twice the same tuple, of twice the same tuple …"""
    return seed + b"q\0" + b"0h\0h\0\x86q\0" * times


def fanned(seed=b"N", times=9, width=50):
    """A list of many times the same list, of many times the same list …"""
    lists = (b"0]q" + bytes([i + 1]) + b"(" + (b"h" + bytes([i])) * width + b"e" for i in range(times))
    return seed + b"q\0" + b"".join(lists)


def modules(depth, name):
    found = b""
    for _ in range(depth):
        inner = b"}(" + text(name) + found + b"u" if found else b"}"
        own = (
            text("_parameters") + b"}" + text("w") + TENSOR + b"s" + text("_buffers") + b"}" + text("_modules") + inner
        )
        found = b"cm\nN\n)R}(" + own + b"ub"
    return found


def many_keys(make, count):
    return b"}(" + b"".join(make(k) + b"N" for k in range(1, count)) + b"u."


HOSTILE = {
    "a reference to tuples": doubled() + b"Q.",
    "tuples at the top": doubled() + b".",
    "tuples as a key": b"}" + doubled() + b"Ns.",
    "tuples as a key's end": b"}" + doubled(TENSOR) + b"Ns.",
    "tuples of tensors": doubled(TENSOR) + b".",
    "tuples as metadata": b"}(" + text("w") + TENSOR + text("m") + doubled() + b"u.",
    "tuples as a shape": b"ctorch._utils\n_rebuild_tensor\n(" + doubled() + b"K\0h\0h\0tR.",
    "tuples as a dtype": b"cnumpy\ndtype\n" + doubled() + b"\x85R.",
    "tuples as a device": b"ctorch\ndevice\n" + doubled() + b"\x85R.",
    "tuples as a quantizer": b"ctorch._utils\n_rebuild_qtensor\n((" + text("storage") + b"ctorch\nQInt8Storage\n"
    + text("0") + text("cpu") + b"K\x04tQK\0K\x04\x85K\x01\x85" + doubled() + b"\x89}tR.",
    "tuples as attributes": TENSOR + doubled() + b"b.",
    "lists as metadata": b"}(" + text("w") + TENSOR + text("m") + fanned() + b"u.",
    "lists less deep as metadata": b"}(" + text("w") + TENSOR + text("m") + fanned(times=6) + b"u.",
    "a long text again and again": b"}(" + text("w") + TENSOR + text("m") + fanned(text("t" * 9999), 3, 90) + b"u.",
    "lists of tensors": fanned(TENSOR) + b".",
    "a dict of itself": b"}q\0(" + text("w") + TENSOR + text("m") + b"h\0u.",
    "wide keys": b"}" + b"N" + b"q\0" + (b"0(" + b"h\0" * 999 + b"tq\0") * 4 + b"Ns.",
    "a frozenset as keys": b"\x80\x04}((" + b"".join(b"J" + struct.pack("<i", i) for i in range(999)) + b"\x91q\0"
    + b"Nh\0N" * 999 + b"u.",
    "equal hashes of integers": many_keys(
        lambda k: b"\x8a\x0d" + (k * ((1 << 61) - 1) << 10).to_bytes(13, "little"), 9999,
    ),
    "equal hashes of complex numbers": many_keys(
        lambda k: b"cbuiltins\ncomplex\nG" + struct.pack(">dcd", -1000003.0 * k, b"G", k) + b"\x86R", 9999,
    ),
    "a large integer as keys": b"}(\x8b" + struct.pack("<i", 1 << 18) + b"\1" * (1 << 18) + b"q\0N" + b"h\0N" * 9999
    + b"u.",
    "a large integer as a size": b"\x8b" + struct.pack("<i", 1 << 18) + b"\1" * (1 << 18) + b"q\0("
    + (b"ctorch._utils\n_rebuild_tensor\n(" + TENSOR[37:-16] + b"h\0h\0\x85h\0\x85tR") * 999 + b"t.",
    "attributes of the same dict": b"}q\0(" + b"".join(text(str(k)) + b"N" for k in range(2000)) + b"u0cm\nN\nq\1"
    + b"0h\1)Rh\0bh\0b" * 999 + b".",
    "dicts of the same list": b"]q\0(" + b"N)\x86" * 999 + b"e0ccollections\nOrderedDict\nq\1"
    + b"0h\1h\0\x85R" * 999 + b".",
    "sets of the same list": b"]q\0(" + b"N" * 999 + b"e0cbuiltins\nset\nq\1" + b"0h\1h\0\x85R" * 999 + b".",
    "bytes of the same text": text("x" * (1 << 16)) + b"q\0c_codecs\nencode\nq\1(h\1h\0" + text("latin1") + b"\x86R"
    + b"h\1h\0\x85R" * 9999 + b"t.",
    "arrays of the same text": text("x" * (1 << 16)) + b"q\0cnumpy\ndtype\n" + text("u1") + b"\x85Rq\1("
    + b"cnumpy.core.numeric\n_frombuffer\nh\0h\1J\0\0\1\0\x85" + text("C") + b"tq\2" + b"t.",
    "modules of long names": modules(300, "x" * 5000) + b".",
    "modules in modules": modules(300, "x") + b".",
    "lists in lists": b"](" * 5000 + TENSOR + b"e" * 5000 + b".",
    "a name without end": b"c" + b"a" * (3 << 20),
    "a name that is too long": b"c" + b"a" * (3 << 20) + b"\nb\n.",
    "a number without end": b"I" + b"9" * (1 << 20) + b"\n.",
    "a text without end": b"V" + b"a" * (3 << 20),
    "many stubs": b"(cm\nN\nq\0" + b"h\0)R" * 5000 + b"t.",
}  # fmt: skip


def everything(path):
    """All that a person does with a file."""
    with ts.open_checkpoint(path) as checkpoint:
        cli.main(["inspect", str(path)], standalone_mode=False)
        return ts.convert(checkpoint, path.with_name("y.pth"), progress=False)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles_take_steps_by_their_size(tmp_path, what):
    path = zipped(tmp_path / "x.pth", b"\x80\x02" + HOSTILE[what])
    answer, _ = counted(lambda: everything(path), path.stat().st_size)
    if isinstance(answer, Exception):
        assert str(path) in str(answer)
        assert len(str(answer)) < len(str(path)) + 1000


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles_take_memory_by_their_size(tmp_path, what):
    path = stream(tmp_path / "x.pth", b"\x80\x02" + HOSTILE[what])
    tracemalloc.start()
    try:
        with pytest.raises(ts.errors.TsError):  # there is no storage in it
            everything(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY + MEMORY_EACH * path.stat().st_size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "described",
    [
        b"\x80\x02" + doubled() + text("cpu") + b"ctorch\nFloatStorage\n\x87.",
        b"\x80\x02" + fanned() + text("cpu") + b"ctorch\nFloatStorage\n\x87.",
        b"\x80\x02K\1" + text("cpu") + doubled() + b"\x87.",
    ],
)
def test_a_deep_key_in_a_tar(tmp_path, described):
    storages = pickle.dumps(1, 2) + described + struct.pack("<q", 0) + pickle.dumps([], 2)
    path = tar(tmp_path / "x.tar", storages)
    answer, _ = counted(lambda: ts.open_checkpoint(path), path.stat().st_size)
    assert isinstance(answer, ts.errors.CheckpointError)
    for reference in (doubled(), fanned()):
        path = tar(tmp_path / "y.tar", pickle.dumps(0, 2) + pickle.dumps([], 2), b"\x80\x02" + reference + b"Q.")
        answer, _ = counted(lambda path=path: ts.open_checkpoint(path), path.stat().st_size)
        assert isinstance(answer, ts.errors.CheckpointError)


def test_many_small_pickles_share_the_work(tmp_path):
    """Each of them could ask for what a file may ask for."""
    wide = b"\x80\x02}N" + b"q\0" + b"0(" + b"h\0" * 999 + b"tq\0" + b"0(" + b"h\0" * 200 + b"tNs."
    path = tar(tmp_path / "x.tar", pickle.dumps(400, 2) + wide * 400)
    answer, _ = counted(lambda: ts.open_checkpoint(path), path.stat().st_size)
    assert isinstance(answer, ts.errors.CheckpointError)


PIECES = st.one_of(
    st.sampled_from([b"0", b"2", b"(", b"t", b"]", b"}", b")", b"e", b"u", b"s", b"a", b"b", b"R", b"Q", b"N", b"K\1",
                     b"\x81", b"\x8f", b"\x90", b"\x91", b"\x85", b"\x86", b"\x87", TENSOR, text("w"), text("_modules"),
                     b"cm\nN\n", b"ccollections\nOrderedDict\n", b"cbuiltins\nset\n", b"cnumpy\ndtype\n",
                     b"h\0h\0\x86q\0", b"0h\0h\0\x86q\0", b"h\1h\1h\1\x87q\1"]),
    st.builds(lambda op, slot: op + bytes([slot]), st.sampled_from([b"q", b"h"]), st.integers(0, 3)),
    st.builds(lambda piece, n: piece * n, st.sampled_from([b"0h\0h\0\x86q\0", b"h\0", b"h\1N"]), st.integers(1, 99)),
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, max_size=40))
def test_random_pickles_take_steps_by_their_size(tmp_path, pieces):
    content = b"\x80\x02Nq\0q\1q\2q\3" + b"".join(pieces)
    for closing in (b".", b"t.", b"u.", b"s."):
        path = zipped(tmp_path / "x.pth", content + closing)
        answer, _ = counted(lambda path=path: list(ts.open_checkpoint(path, key="")), path.stat().st_size)
        assert not isinstance(answer, Exception) or str(path) in str(answer)


@pytest.mark.parametrize("value", [doubled(), fanned(), b"}q\0" + text("w") + b"h\0s", text("x" * 99999)])
def test_what_a_message_shows_of_a_value_is_made_of_what_it_shows(value):
    content = load(PickleBytes(memoryview(b"\x80\x02" + value + b".")))
    shown, steps = counted(lambda: brief(content), 0)
    assert len(shown) < 1000
    assert steps < 1000


def test_a_pickle_above_the_limit_names_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("ts_core.contract.pickles.MAX_PICKLE", 1 << 16)
    path = zipped(tmp_path / "x.pth", b"\x80\x02(" + text("x" * 1000) * 100 + b"t.")
    with pytest.raises(ts.errors.CheckpointError, match="the most that is read"):
        ts.open_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["y.safetensors", "y.pth"])
def test_metadata_inside_of_itself_is_written_in_steps_by_its_size(tmp_path, name):
    content = b"}(" + text("a") + TENSOR + text("b") + TENSOR + text("m") + fanned() + b"u."
    path = zipped(tmp_path / "x.pth", b"\x80\x02" + content)
    with ts.open_checkpoint(path) as checkpoint:
        answer, _ = counted(
            lambda: ts.save_checkpoint(checkpoint, tmp_path / name, max_shard_size=16), path.stat().st_size
        )
    assert answer is None
    assert list(ts.open_checkpoint(tmp_path / name)) == ["a", "b"]


def test_metadata_inside_of_itself_is_not_compared_between_shards(tmp_path):
    # What takes 2^24 steps to compare would take 2^40 in a few bytes more.
    for name in ("a", "b"):
        content = b"}(" + text(name) + TENSOR + text("m") + doubled(times=24) + text("n") + doubled(times=2) + b"u."
        zipped(tmp_path / f"{name}.pth", b"\x80\x02" + content)
    (tmp_path / "x.pth.index.json").write_text('{"weight_map": {"a": "a.pth", "b": "b.pth"}}')
    with ts.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        assert list(checkpoint.metadata) == ["m", "n", "m (b.pth)"]
