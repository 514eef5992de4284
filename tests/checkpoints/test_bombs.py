"""Small files that ask for much: time and memory stay within a bound that their size sets."""

import io
import json
import struct
import tarfile
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

import ts_core as ts

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

ROOM = 8 << 20  # bytes that any file may cost
TIMES = 60  # so many bytes a byte of the file: Python's objects for what a file lists


def opened(path, *names, verify=False):
    """What a file gives, or the error of ours; and the most memory that it took meanwhile."""
    tracemalloc.start()
    started = time.process_time()
    try:
        with ts.open_checkpoint(path, verify=verify) as checkpoint:
            result = {name: checkpoint[name].nbytes for name in names or checkpoint}
    except ts.errors.CheckpointError as problem:
        result = problem if path.name in str(problem) else pytest.fail(f"it does not name the file: {problem}")
    took = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 20, "it nearly hung"
    return result, peak


def save_packed(path, count, size):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
            archive.writestr(f"x{number}.npy", head.getvalue() + bytes(size))


def test_an_npz_that_unpacks_to_much_costs_one_tensor(tmp_path):
    save_packed(tmp_path / "x.npz", 8, 64 << 20)
    assert (tmp_path / "x.npz").stat().st_size < 1 << 20
    result, peak = opened(tmp_path / "x.npz", "x3")
    assert result == {"x3": 64 << 20}
    assert peak < (64 << 20) + ROOM
    with ts.open_checkpoint(tmp_path / "x.npz") as checkpoint:
        assert not checkpoint["x5"].any()
        assert not checkpoint["x5"].flags.writeable


def test_checksums_of_an_npz_cost_no_tensor(tmp_path):
    save_packed(tmp_path / "x.npz", 3, 64 << 20)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    tracemalloc.start()
    ts.open_checkpoint(tmp_path / "x.npz", verify=True).close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < ROOM
    content[content.index(b"PK\1\2") + 16] ^= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ts.errors.CheckpointError, match="checksum"):
        ts.open_checkpoint(tmp_path / "x.npz", verify=True)


@pytest.mark.parametrize("stated", [-1, 1, 1000])
def test_an_npz_that_unpacks_to_more_or_less_than_it_says(tmp_path, stated):
    save_packed(tmp_path / "x.npz", 1, 5 << 20)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    place = content.index(b"PK\1\2") + 24
    (size,) = struct.unpack_from("<I", content, place)
    struct.pack_into("<I", content, place, size + stated)
    (tmp_path / "x.npz").write_bytes(content)
    result, _ = opened(tmp_path / "x.npz")
    assert isinstance(result, ts.errors.CheckpointError)


def test_a_packed_npz_is_what_numpy_reads(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"noise": rng.standard_normal(400_000), "rows": np.arange(3 << 20).reshape(3, -1), "none": np.ones((0, 3))}
    arrays["scalar"], arrays["fortran"] = np.float32(2.5), np.asfortranarray(rng.standard_normal((300, 700)))
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    with ts.open_checkpoint(tmp_path / "x.npz", verify=True) as checkpoint:
        for name, array in arrays.items():
            np.testing.assert_array_equal(checkpoint[name], array)


def safetensors(header):
    return struct.pack("<Q", len(header)) + header


WIDE = 200_000


@pytest.mark.parametrize(
    "content",
    [
        safetensors(b'{"a":' + b"[" * WIDE + b"]" * WIDE + b"}"),
        safetensors(b'{"a":' * WIDE + b"1" + b"}" * WIDE),
        safetensors(b'{"a":{"dtype":"F32","shape":[' + b"1," * WIDE + b'1],"data_offsets":[0,4]}}'),
        safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[[' + b"0," * WIDE + b"0],4]}}"),
        safetensors(b'{"a":{"dtype":[' + b"0," * WIDE + b'0],"shape":[1],"data_offsets":[0,4]}}'),
        safetensors(b'{"a":' + b"1" * WIDE + b"}"),
        safetensors(b"{" + b",".join(b'"%d":{}' % number for number in range(WIDE // 4)) + b"}"),
        safetensors(b'{"__metadata__":{' + b",".join(b'"%d":""' % number for number in range(WIDE // 4)) + b"}}"),
    ],
)
def test_safetensors_headers(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    _, peak = opened(tmp_path / "x.safetensors")
    assert peak < len(content) * TIMES + ROOM


@pytest.mark.parametrize(
    "weight_map",
    [
        b"[" * WIDE, b'{"a":' * WIDE, b'"' + b"a" * WIDE + b'"', b'{"a":"' + b"x" * 300 + b'"}',
        b"{" + b",".join(b'"%d":"x"' % number for number in range(WIDE // 4)) + b"}", b"1" * WIDE,
    ],
)  # fmt: skip
def test_indexes(tmp_path, weight_map):
    path = tmp_path / "x.safetensors.index.json"
    path.write_bytes(b'{"weight_map":' + weight_map + b"}")
    result, peak = opened(path)
    assert isinstance(result, ts.errors.CheckpointError)
    assert peak < len(weight_map) * TIMES + ROOM


def npy(header):
    return b"\x93NUMPY\2\0" + struct.pack("<I", len(header)) + header + bytes(64)


@pytest.mark.parametrize(
    "header",
    [
        b"(" * 60_000, b"-" * 60_000 + b"1", b"[" * 9000 + b"]" * 9000, b"{'shape': " * 3000, b"9" * 9000,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1," * 4000 + b")}",
        b"{'descr': [" + b"('a', '<f4')," * 600 + b"], 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '" + b"f4," * 3000 + b"', 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '<U2000000000', 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '|V2000000000', 'fortran_order': False, 'shape': (0,)}",
        b"{'descr': '(1000000000,)f4', 'fortran_order': False, 'shape': (1,)}",
        b"2**2**2**2**2**2", b"'a'*10**10", b"__import__('os').abort()",
    ],
)  # fmt: skip
def test_headers_of_npy_files(tmp_path, header):
    (tmp_path / "x.npy").write_bytes(npy(header))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy(header))
    for path in (tmp_path / "x.npy", tmp_path / "x.npz"):
        result, peak = opened(path)
        assert isinstance(result, ts.errors.CheckpointError)
        assert peak < ROOM


def field(number, content):
    length, encoded = len(content), b""
    while length > 0x7F:
        encoded, length = encoded + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + content


@pytest.mark.parametrize(
    "tensor",
    [
        field(1, b"\1" * 2_000_000) + field(2, b"Float32") + field(3, bytes(4)),
        b"\x08\x01" * 1_000_000 + field(2, b"Float32") + field(3, bytes(4)),
        field(2, b"F" * 2_000_000) + field(3, bytes(4)),
        field(2, b"Float32") * 200_000 + field(3, bytes(4)),
    ],
)
def test_tensors_of_a_ckpt(tmp_path, tensor):
    content = field(1, field(1, b"w") + field(2, tensor))
    (tmp_path / "x.ckpt").write_bytes(content)
    result, peak = opened(tmp_path / "x.ckpt")
    assert isinstance(result, ts.errors.CheckpointError) or sum(result.values()) <= len(content)
    assert peak < len(content) * 4 + ROOM


def test_many_small_tensors_of_a_ckpt(tmp_path):
    tensor = field(1, b"\1") + field(2, b"Float32") + field(3, bytes(4))
    content = b"".join(field(1, field(1, str(number).encode()) + field(2, tensor)) for number in range(50_000))
    (tmp_path / "x.ckpt").write_bytes(content)
    _, peak = opened(tmp_path / "x.ckpt", "7")
    assert peak < len(content) * TIMES + ROOM


def test_many_entries_of_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.npy", b"")
    result, peak = opened(tmp_path / "x.npz")
    assert isinstance(result, ts.errors.CheckpointError)
    assert peak < (tmp_path / "x.npz").stat().st_size * TIMES + ROOM


def header(name, size=0, kind=b"0"):
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[148:156], block[156:157], block[257:263] = b" " * 8, kind, b"ustar\0"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "content",
    [
        header(b"a", 1 << 30, b"L") * 3000,  # names that are too long for a header, one inside the other
        header(b"a", 0, b"L") * 3000,
        header(b"a", 0, b"x") * 3000,
        header(b"a", b"\x80" + b"\xff" * 11),
        header(b"a", b"\xff" * 12),
        header(b"a", b"99999999999\0"),
        header(b"a", 100_000, b"x") + b"1" * 100_352,
        header(b"a", 1024, b"x") + (b"9" * 20 + b" a=b\n") * 40 + bytes(24),
        header(b"a", 512, b"x") + b"0 a=b\n" * 85 + bytes(2),
        header(b"a", 512, b"x") + b"22 size=9999999999999\n" + bytes(490) + header(b"a"),
        header(b"storages") + header(b"tensors") + header(b"pickle"),
        header(b"a")[:300] + bytes(212) + header(b"a"),
        *(header(b"a", 0, bytes([kind])) for kind in b"123456789AgKLSVXx"),
    ],
)
def test_archives_of_older_files(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content + bytes(1024))
    result, peak = opened(tmp_path / "x.pth")
    assert isinstance(result, ts.errors.CheckpointError)
    assert peak < ROOM


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_has_the_members_that_python_finds(tmp_path, format):
    from ts_core.contract.byte_sources import MappedFile
    from ts_core.contract.tars import read_members

    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=format) as archive:
        for number, size in enumerate((0, 1, 511, 512, 513, 5000)):
            member = tarfile.TarInfo(f"some/folder/member{number}")
            member.size = size
            member.mtime = 1.5 if format == tarfile.PAX_FORMAT else 1  # which PAX tells in a record
            archive.addfile(member, io.BytesIO(bytes([number]) * size))
    with tarfile.open(path) as archive:
        wanted = {member.name: (member.offset_data, member.offset_data + member.size) for member in archive}
    assert read_members(MappedFile(path)) == wanted


def test_the_json_of_a_map(tmp_path):
    for content in ("[" * WIDE, '[{"a":' * WIDE, json.dumps([{"a": "b"}, {"a": [[0] * WIDE] * 2}]), "[" + "1" * WIDE):
        (tmp_path / "m.json").write_text(content)
        tracemalloc.start()
        with pytest.raises(ts.errors.WeightMapError, match=r"m\.json") as caught:
            ts.WeightMap.load(tmp_path / "m.json")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(str(caught.value)) < 5000
        assert peak < len(content) * TIMES + ROOM
