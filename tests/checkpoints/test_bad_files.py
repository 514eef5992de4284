"""Damaged and hostile files of every format: an error that names the file, or a good read; never a crash or a hang."""

import io
import json
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

ARRAYS = {
    "fc.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "fc.bias": np.arange(3, dtype=np.int64),
    "scale": np.array(0.5, np.float16),
}
HEADERS = 4096  # bytes: more than any of these files has


def stream_of_pickles():
    """What torch wrote before its archives: see ``torch.serialization._legacy_save``."""
    storages = {"0": ARRAYS["fc.weight"], "1": ARRAYS["fc.bias"], "2": ARRAYS["scale"]}
    classes = {"0": b"Float", "1": b"Long", "2": b"Half"}

    def unicode(text):
        return b"X" + struct.pack("<I", len(text)) + text.encode()

    content = b"\x80\x02}("
    for (name, array), key in zip(ARRAYS.items(), storages, strict=True):
        steps = tuple(step // array.itemsize for step in array.strides)
        content += unicode(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage")
        content += b"ctorch\n" + classes[key] + b"Storage\n" + unicode(key) + unicode("cpu")
        content += b"K" + bytes([array.size]) + b"NtQK\0"
        for numbers in (array.shape, steps):
            content += b"(" + b"".join(b"K" + bytes([number]) for number in numbers) + b"t"
        content += b"\x89)tR"
    content += b"u."
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return b"".join(head) + content + pickle.dumps(list(storages), 2) + tail


def tar_archive(link=None):
    """What torch wrote before that: three members, of pickles with bytes between them."""

    def described(key, storage, cls):
        return b"\x80\x02K" + bytes([key]) + storage + b"ctorch\n" + cls + b"\n\x87."

    kinds = (b"Float", b"Long", b"Half")
    storages = pickle.dumps(3, 2)
    tensors = pickle.dumps(3, 2)
    for key, (array, kind) in enumerate(zip(ARRAYS.values(), kinds, strict=True)):
        storages += described(key, b"X\3\0\0\0cpu", kind + b"Storage") + struct.pack("<q", array.size)
        storages += array.tobytes()
        steps = [step // array.itemsize for step in array.strides]
        tensors += described(10 + key, b"K" + bytes([key]), kind + b"Tensor") + struct.pack("<i4x", array.ndim)
        tensors += struct.pack(f"<{2 * array.ndim + 1}q", *array.shape, *steps, 0)
    storages += pickle.dumps([], 2)
    content = b"\x80\x02}("
    for key, name in enumerate(ARRAYS):
        content += b"X" + struct.pack("<I", len(name)) + name.encode() + b"X\2\0\0\x00" + str(10 + key).encode() + b"Q"
    content += b"u."
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("storages", storages), ("tensors", tensors), ("pickle", content)):
            member = tarfile.TarInfo(name)
            if name == link:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    """The content of a good file of each format, by file name."""
    folder = tmp_path_factory.mktemp("good")
    files = {"stream.pth": stream_of_pickles(), "tar.pth": tar_archive()}
    for name in ("x.ckpt", "x.pth", "x.safetensors", "x.npz"):
        ts.save_checkpoint(ARRAYS, folder / name)
        files[name] = (folder / name).read_bytes()
    np.savez_compressed(folder / "packed.npz", **ARRAYS)
    files["packed.npz"] = (folder / "packed.npz").read_bytes()
    np.save(folder / "x.npy", ARRAYS["fc.weight"])
    files["folder/x.npy"] = (folder / "x.npy").read_bytes()
    ts.save_checkpoint(ARRAYS, folder / "s.safetensors", max_shard_size=30)
    files["s.safetensors.index.json"] = (folder / "s.safetensors.index.json").read_bytes()
    for shard in folder.glob("s-*"):
        files[shard.name] = shard.read_bytes()
    return files


FORMATS = [
    "x.ckpt", "x.pth", "stream.pth", "tar.pth", "x.safetensors", "x.npz", "packed.npz", "folder/x.npy",
    "s.safetensors.index.json",
]  # fmt: skip


@pytest.fixture
def put(tmp_path, good_files):
    """Write one file, changed, where the format expects it; answers the path to open."""
    for name, content in good_files.items():
        if name.startswith("s-"):
            (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()

    def run(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / "folder" if name.startswith("folder") else tmp_path / name

    return run


def read(path, **options):
    """Every tensor of a file; or the error of ours that refused it, which names the file."""
    try:
        with ts.open_checkpoint(path, **options) as checkpoint:
            return {name: np.array(checkpoint[name]) for name in checkpoint}
    except ts.errors.CheckpointError as problem:
        return problem


def must_be_sound(path, result, size):
    if isinstance(result, Exception):
        assert str(path.parent if path.is_file() else path) in str(result)
        assert len(str(result)) < 4000
    else:
        assert sum(array.nbytes for array in result.values()) <= max(size, 1 << 20)


@pytest.mark.parametrize("name", FORMATS)
def test_the_files_are_good(name, good_files, put, same):
    result = read(put(name, good_files[name]), verify=True)
    if name.startswith("folder"):
        same({"x": ARRAYS["fc.weight"]}, result)
    else:
        same(ARRAYS, result)


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_at_any_byte(name, good_files, put):
    content = good_files[name]
    steps = range(len(content)) if len(content) < HEADERS else sorted({*range(0, len(content), 7), *range(600)})
    for size in steps:
        path = put(name, content[:size])
        result = read(path)
        must_be_sound(path, result, size)
        if isinstance(result, Exception):
            continue
        # A .ckpt that ends between two tensors is a whole one of fewer tensors; a tar may lack its padding.
        if name == "x.ckpt":
            assert len(result) < len(ARRAYS)
            assert all(result[key].tobytes() == ARRAYS[key].tobytes() for key in result)
        else:
            assert name == "tar.pth", f"cut at {size} of {len(content)}"
            assert all(result[key].tobytes() == ARRAYS[key].tobytes() for key in ARRAYS)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_flipped_byte(name, good_files, put, data):
    content = bytearray(good_files[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = put(name, bytes(content))
    must_be_sound(path, read(path), len(content))
    verified = read(path, verify=True)
    must_be_sound(path, verified, len(content))


@pytest.mark.parametrize("name", ["x.ckpt", "x.pth", "stream.pth", "x.safetensors", "x.npz"])
def test_a_flip_inside_tensor_data_is_a_good_read(name, good_files, put):
    content = bytearray(good_files[name])
    content[content.index(ARRAYS["fc.weight"].tobytes()) + 4] ^= 0x40
    result = read(put(name, bytes(content)))
    assert list(result) == list(ARRAYS)
    assert (result["fc.weight"] != ARRAYS["fc.weight"]).sum() == 1
    assert (result["fc.bias"] == ARRAYS["fc.bias"]).all()


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tail=st.binary(max_size=300))
def test_any_bytes_behind_a_good_beginning(name, good_files, put, tail):
    for start in (4, 8, 16, 64):
        content = good_files[name][:start] + tail
        path = put(name, content)
        must_be_sound(path, read(path), len(content))


def safetensors_file(header, data=b"", length=None):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded) if length is None else length) + encoded + data


def entry(dtype="F32", shape=(1,), begin=0, end=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (safetensors_file({"a": entry()}, bytes(4), length=1 << 63), "header"),
        (safetensors_file({"a": entry()}, bytes(4), length=(1 << 64) - 1), "header"),
        (safetensors_file({"a": entry()}, bytes(4), length=1 << 32), "header"),
        (safetensors_file({"a": entry(), "b": entry()}, bytes(4)), "overlaps"),
        (safetensors_file({"a": entry(shape=(2,), end=8), "b": entry(begin=4, end=8)}, bytes(8)), "overlaps"),
        (safetensors_file({"a": entry(begin=4, end=8)}, bytes(8)), "gap"),
        (safetensors_file({"a": entry()}, bytes(8)), "belong to nothing"),
        (safetensors_file({"a": entry(shape=(2,), end=8)}, bytes(4)), "cannot lie"),
        (safetensors_file({"a": entry(begin=4, end=0)}, bytes(4)), "cannot lie"),
        (safetensors_file({"a": entry(begin=-4, end=0)}, bytes(4)), "whole numbers"),
        (safetensors_file({"a": entry(begin=0, end=1 << 70)}, bytes(4)), "cannot lie"),
        (safetensors_file({"a": entry(shape=(1 << 40, 1 << 40))}, bytes(4)), "too large"),
        (safetensors_file({"a": entry(shape=(0, 1 << 63), end=0)}), "too large"),
        (safetensors_file({"a": entry(shape=(-1,))}, bytes(4)), "whole numbers"),
        (safetensors_file({"a": entry(shape=(1.0,))}, bytes(4)), "whole numbers"),
        (safetensors_file({"a": entry(shape=(True,))}, bytes(4)), "whole numbers"),
        (safetensors_file({"a": entry(shape=(1,) * 40)}, bytes(4)), "40 dimensions"),
        (safetensors_file({"a": entry(shape=(2,) * 100_000)}, bytes(4)), "100000 dimensions"),
        (safetensors_file({"a": entry(dtype="F7")}, bytes(4)), "F7"),
        (safetensors_file({"a": entry(dtype=["F32"])}, bytes(4)), "damaged"),
        (safetensors_file({"a": {"dtype": "F32"}}, bytes(4)), "shape"),
        (safetensors_file({"a": 5}), "damaged"),
        (safetensors_file([1, 2]), "JSON object"),
        (safetensors_file(b'{"a":' + b"[" * 100_000), "damaged"),
        (safetensors_file(b'{"a":' + b"9" * 100_000 + b"}"), "damaged"),
        (safetensors_file(b'{"__metadata__":{"x":1}}'), "strings"),
        (
            safetensors_file(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)),
            "twice",
        ),
        (b"{}", "header"),
        (bytes(7), "header"),
    ],
)
def test_hostile_safetensors(tmp_path, content, reason):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ts.errors.CheckpointError, match=reason) as caught:
        ts.open_checkpoint(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 16 << 20


@pytest.mark.parametrize(
    "shard", ["../../x.safetensors", "/etc/passwd", "..", ".", "", "a/b.safetensors", "..\\x", "x\0y", "~/x", "file:x"]
)
def test_a_shard_outside_of_the_folder(tmp_path, shard):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    ts.save_checkpoint({"w": np.ones(1)}, tmp_path / "x.safetensors")
    (inner / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {"w": shard}}))
    with pytest.raises(ts.errors.CheckpointError) as caught:
        ts.open_checkpoint(inner)
    assert str(inner) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"w": 5}}', b'{"weight_map": {"w": null}}',
        b'{"weight_map": {"w": "absent.safetensors"}}', b'{"weight_map": {"other": "x.safetensors"}}',
        b'{"weight_map": {}}', b'{"weight_map": {"w": "model.safetensors.index.json"}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_hostile_indexes(tmp_path, content):
    ts.save_checkpoint({"w": np.ones(1)}, tmp_path / "x.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(content)
    result = read(index)
    must_be_sound(index, result, 1000)
    if content != b'{"weight_map": {}}':
        assert isinstance(result, Exception)


def npy(shape, dtype="<f4", data=bytes(16)):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "content",
    [
        npy((5,)), npy((3,)), npy((1 << 62,)), npy((1 << 40, 1 << 40)), npy((0, 1 << 63), data=b""), npy((-4,)),
        npy((4.0,)), npy((1,) * 40, data=bytes(4)), npy((4,), "<f3"), npy((2,), [("a", "<f4"), ("b", "<f4")]),
        npy((2,), "<U2"), npy((2,), "<M8[s]"), npy((4,), "|V4"), b"\x93NUMPY\3\0" + bytes(60), b"\x93NUMPY",
        b"\x93NUMPY\1\0\xff\xff", npy("x" * 60_000),
    ],
)  # fmt: skip
def test_hostile_npy_files(tmp_path, content):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.npy").write_bytes(content)
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for path in (tmp_path / "folder", tmp_path / "x.npy", tmp_path / "x.npz"):
        result = read(path)
        assert isinstance(result, ts.errors.CheckpointError)
        assert str(path) in str(result)


class Archive:
    """A good archive of torch, and ways to make it lie."""

    def __init__(self, path):
        self.path = path
        ts.save_checkpoint({"w": np.arange(100, dtype=np.float32)}, path)
        with zipfile.ZipFile(path) as archive:
            self.entries = [(info.filename, archive.read(info)) for info in archive.infolist()]

    def rewrite(self, **options):
        with zipfile.ZipFile(self.path, "w", **options) as archive, pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)  # of names that are there twice
            for name, content in self.entries:
                archive.writestr(name, content)

    def directory(self, change):
        """Change the directory's record of the storage: offset in the record, format, value."""
        content = bytearray(self.path.read_bytes())
        start = content.index(b"archive/data/0", content.index(b"PK\1\2")) - 46
        offset, kind, value = change
        struct.pack_into(kind, content, start + offset, value)
        self.path.write_bytes(content)


def test_an_archive_without_its_end_is_called_cut_off(tmp_path):
    path = tmp_path / "x.pth"
    ts.save_checkpoint(ARRAYS, path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ts.errors.CheckpointError, match="the file is cut off"):
        ts.open_checkpoint(path)


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "change",
    [
        (10, "<H", 8),  # the method says deflated
        (10, "<H", 14),  # … LZMA
        (10, "<H", 99),
        (8, "<H", 1),  # encrypted
        (20, "<I", 399),  # the packed size alone
        (20, "<I", (1 << 32) - 2),
        (24, "<I", 401),  # the size alone
        (24, "<I", (1 << 32) - 2),
        (42, "<I", 0),  # the place of another entry
        (42, "<I", 1),
        (42, "<I", (1 << 32) - 2),
        (42, "<I", (1 << 32) - 1),  # a 64-bit place that is not there
    ],
)
def test_an_archive_whose_directory_lies(archive, change):
    archive.directory(change)
    result = read(archive.path)
    assert isinstance(result, ts.errors.CheckpointError)
    assert str(archive.path) in str(result)


def test_sizes_that_lie_alike_reach_past_the_end_or_overlap(archive):
    for size in (404, 1 << 20, (1 << 32) - 2):
        archive.directory((20, "<I", size))
        archive.directory((24, "<I", size))
        result = read(archive.path)
        assert isinstance(result, ts.errors.CheckpointError) or result["w"].tolist() == list(range(100))


def test_a_compressed_archive_of_torch(archive):
    archive.rewrite(compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in str(read(archive.path))


def test_names_that_are_there_twice(archive):
    for name, content in list(archive.entries):
        archive.entries.append((name, content))
        archive.rewrite()
        assert "same name" in str(read(archive.path)), name
        archive.entries.pop()


def test_entries_that_are_missing(archive):
    entries = list(archive.entries)
    for missing in ("archive/data/0", "archive/data.pkl"):
        archive.entries = [(name, content) for name, content in entries if name != missing]
        archive.rewrite()
        assert isinstance(read(archive.path), ts.errors.CheckpointError), missing


def test_a_small_npz_that_unpacks_to_much(tmp_path):
    """A quarter of a gigabyte of zeros in 260 kB: it is only unpacked when asked for, and a lie is refused before."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy((1 << 26,), data=b"") + bytes(1 << 20))
    result = read(tmp_path / "x.npz")
    assert isinstance(result, ts.errors.CheckpointError)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    size = (1 << 28) + 128
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, size)
    (tmp_path / "x.npz").write_bytes(content)
    tracemalloc.start()
    result = read(tmp_path / "x.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(result, ts.errors.CheckpointError)
    assert peak < 32 << 20


@pytest.mark.parametrize("member", ["storages", "tensors", "pickle"])
def test_a_tar_with_links(tmp_path, member):
    (tmp_path / "x.pth").write_bytes(tar_archive(link=member))
    result = read(tmp_path / "x.pth")
    assert isinstance(result, ts.errors.CheckpointError)
    assert "link" in str(result)


def test_neither_file_nor_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(ts.errors.CheckpointError, match="neither a file nor a folder"):
        ts.open_checkpoint(tmp_path / "pipe.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ts.errors.CheckpointError, match="empty"):
        ts.open_checkpoint(tmp_path / "empty.pth")
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    with pytest.raises(ts.errors.CheckpointError, match=r"loop\.pth"):
        ts.open_checkpoint(tmp_path / "loop.pth")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary(max_size=200), suffix=st.sampled_from([".pth", ".ckpt", ".safetensors", ".npz", ".index.json"])
)
def test_any_bytes_at_all(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    must_be_sound(path, read(path), len(content))
