"""Files that MindSpore wrote, and files made by hand from its wire format."""

import subprocess
import sys
import zlib

import ml_dtypes
import numpy as np
import pytest

import ts_core as ts

pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework


def varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(dims, kind, content):
    return b"".join(b"\x08" + varint(size) for size in dims) + field(2, kind.encode()) + field(3, content)


def value(tag, dims, kind, content):
    return field(1, field(1, tag.encode()) + field(2, tensor(dims, kind, content)))


ONE = value("a", (1,), "Float32", b"\0\0\x80?")


@pytest.fixture
def opened(tmp_path):
    def run(content, **options):
        (tmp_path / "x.ckpt").write_bytes(content)
        return ts.open_checkpoint(tmp_path / "x.ckpt", **options)

    return run


def test_a_network_with_an_append_dict(tmp_path, same):
    mindspore = pytest.importorskip("mindspore")
    net = mindspore.nn.SequentialCell(mindspore.nn.Dense(2, 3), mindspore.nn.BatchNorm1d(3))
    extra = {"epoch": 3, "rate": 0.5, "note": "grüße"}
    path = tmp_path / "x.ckpt"
    for options in ({}, {"crc_check": True}):
        mindspore.save_checkpoint(net, str(path), append_dict=extra, **options)
        with ts.open_checkpoint(path, verify=True) as checkpoint:
            assert checkpoint.format == "mindspore"
            names = [parameter.name for parameter in net.get_parameters()]
            same({name: net.parameters_dict()[name] for name in names}, {name: checkpoint[name] for name in names})
            assert checkpoint["epoch"].item() == 3
            assert checkpoint["rate"].item() == 0.5
            assert dict(checkpoint.metadata) == {"note": "grüße"}


def test_every_dtype_that_mindspore_saves(tmp_path, same):
    mindspore = pytest.importorskip("mindspore")
    integers = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    names = [*integers, "float16", "float32", "float64", "bfloat16", "bool_", "complex64"]
    tensors = [
        {"name": name, "data": mindspore.Tensor(np.array([[0, 1, 2]]), getattr(mindspore, name))} for name in names
    ]
    mindspore.save_checkpoint(tensors, str(tmp_path / "x.ckpt"))
    same({entry["name"]: entry["data"] for entry in tensors}, ts.open_checkpoint(tmp_path / "x.ckpt"))


def test_reading_needs_no_mindspore(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(ONE)
    script = (
        "import sys, ts_core as ts; c = ts.open_checkpoint('x.ckpt'); assert c['a'].item() == 1; "
        "ts.save_checkpoint(c, 'y.ckpt'); assert 'mindspore' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_fields_in_any_order_and_unknown_fields(opened):
    inner = field(3, b"\1\0\2\0") + b"\x08\x02" + varint(9 << 3) + varint(77) + field(2, b"Int16")
    message = field(2, inner) + field(8, b"?") + varint(7 << 3 | 5) + b"1234" + varint(6 << 3 | 1) + b"12345678"
    checkpoint = opened(field(1, message + field(1, b"x")) + field(15, b"later") + ONE)
    assert checkpoint["x"].tolist() == [1, 2]
    assert list(checkpoint) == ["x", "a"]


def test_packed_dims(opened):
    packed = field(1, varint(2) + varint(1)) + field(2, b"Int8") + field(3, b"\1\2")
    assert opened(field(1, field(1, b"x") + field(2, packed)))["x"].tolist() == [[1], [2]]


def test_scalars_old_and_new(opened):
    checkpoint = opened(value("new", (), "Int8", b"\1") + value("old", (0,), "Int8", b"\2"))
    assert checkpoint["new"].shape == checkpoint["old"].shape == ()
    assert checkpoint["old"].item() == 2


def test_slices_are_joined(opened):
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    raw = data.tobytes()
    checkpoint = opened(
        ONE
        + value("x", (3, 4), "Float32", raw[:20])
        + value("x", (3, 4), "Float32", raw[20:])
        + value("b", (1,), "Int8", b"\1")
    )
    assert list(checkpoint) == ["a", "x", "b"]
    assert (checkpoint["x"] == data).all()


def test_four_bit_integers_keep_their_bits_and_their_name(opened, tmp_path):
    with opened(value("x", (2,), "Int4", b"\x12\xfe")) as checkpoint:
        ts.save_checkpoint(checkpoint, tmp_path / "y.ckpt")
        with pytest.raises(ts.errors.UnsupportedDtypeError, match="qint4x2"):
            ts.save_checkpoint(checkpoint, tmp_path / "y.pth")
    assert (tmp_path / "y.ckpt").read_bytes() == (tmp_path / "x.ckpt").read_bytes()


def test_bfloat16_is_bit_exact(opened):
    array = opened(value("x", (2,), "BFloat16", b"\x80\x3f\xc1\x7f"))["x"]
    assert array.dtype == ml_dtypes.bfloat16
    assert array.tobytes() == b"\x80\x3f\xc1\x7f"


def test_the_checksum(opened):
    good = ONE + b"crc_num" + zlib.crc32(ONE).to_bytes(10, "big")
    assert list(opened(good, verify=True)) == ["a"]
    bad = ONE + b"crc_num" + (zlib.crc32(ONE) ^ 1).to_bytes(10, "big")
    assert list(opened(bad)) == ["a"]
    with pytest.raises(ts.errors.CheckpointError, match="checksum"):
        opened(bad, verify=True)


def test_encrypted_files_say_what_to_do(tmp_path):
    mindspore = pytest.importorskip("mindspore")
    for mode in ("AES-GCM", "SM4-CBC"):
        mindspore.save_checkpoint(mindspore.nn.Dense(1, 1), str(tmp_path / "x.ckpt"), enc_key=b"0" * 16, enc_mode=mode)
        with pytest.raises(ts.errors.CheckpointError, match="dec_key"):
            ts.open_checkpoint(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (field(1, field(1, b"m") + field(3, field(1, tensor((1,), "Int8", b"\1")))), "map tensor"),
        (ONE + ONE, "twice"),
        (ONE + value("b", (1,), "Int8", b"\1") + ONE, "twice"),
        (value("s", (0,), "str", b"a\0\0\0") + ONE.replace(b"a", b"s"), "twice"),
        (value("x", (2,), "Float32", b"1234"), r"4 bytes are no Float32 of the shape \(2,\)"),
        (value("x", (1 << 40, 1 << 40), "Float32", b"1234"), "too large"),
        (value("x", (1 << 62, 4), "Int8", b""), "too large"),
        (value("x", ((1 << 64) - 1,), "Int8", b"1"), "negative"),
        (value("x", (1,), "Quark", b"1"), "'Quark' cannot be read"),
        (value("s", (0,), "str", b"abc"), "damaged"),
        (ONE + field(1, field(1, b"x")), "without a tensor"),
        (ONE + field(1, field(2, tensor((1,), "Int8", b"1"))), "without a name"),
        (ONE + field(1, field(1, b"\xff") + field(2, tensor((1,), "Int8", b"1"))), "damaged"),
        (ONE + varint(1 << 3 | 2) + varint(1 << 62) + b"abc", "past the end"),
        (ONE + b"\x0a" + b"\xff" * 12, "longer than 64 bits"),
        (ONE + b"\x0b", "wire type 3"),
    ],
)
def test_what_is_wrong_is_named(opened, content, reason):
    with pytest.raises(ts.errors.CheckpointError, match=reason) as caught:
        opened(content)
    assert "x.ckpt" in str(caught.value)


def test_a_large_tensor_is_sliced_as_mindspore_wants_it(tmp_path, monkeypatch):
    mindspore = pytest.importorskip("mindspore")
    from ts_mindspore.checkpoints import _writing as checkpoints

    assert checkpoints._SLICE == 512 << 20
    monkeypatch.setattr(checkpoints, "_SLICE", 1 << 20)
    large = np.arange(3 << 20, dtype=np.uint8).reshape(3, 1 << 20)
    path = tmp_path / "x.ckpt"
    ts.save_checkpoint({"x": large, "y": np.ones(2)}, path)
    assert path.read_bytes().count(b"UInt8") == 3
    assert (ts.open_checkpoint(path)["x"] == large).all()
    assert (mindspore.load_checkpoint(str(path))["x"].asnumpy() == large).all()
