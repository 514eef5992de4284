"""Every format that we write, read by the readers of those who own it."""

import itertools
import json

import ml_dtypes
import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ConversionWarning

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
SHAPES = ((), (1,), (5,), (2, 3), (3, 0, 2), (0, 3), (1, 3, 1))


def mindspore_ckpt(path):
    return pytest.importorskip("mindspore").load_checkpoint(str(path))


def mindspore_safetensors(path):
    return pytest.importorskip("mindspore").load_checkpoint(str(path), format="safetensors")


def safetensors_torch(path):
    pytest.importorskip("torch")
    return pytest.importorskip("safetensors.torch").load_file(path)


def safetensors_numpy(path):
    return pytest.importorskip("safetensors.numpy").load_file(path)


def transformers(path):
    """As ``load_state_dict`` in transformers/modeling_utils.py: it looks at ``format``, then at each tensor."""
    safetensors = pytest.importorskip("safetensors")
    pytest.importorskip("torch")
    with safetensors.safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
        assert metadata is None or metadata.get("format") in ("pt", "tf", "flax", "mlx")
        return {name: opened.get_slice(name)[...] for name in opened.keys()}  # noqa: SIM118 - it is no dict


def torch_load(path):
    return pytest.importorskip("torch").load(path, weights_only=True)


def torch_mapped(path):
    return pytest.importorskip("torch").load(path, weights_only=True, mmap=True)


def torch_legacy(path):
    return pytest.importorskip("torch").load(path, weights_only=False)


def numpy_load(path):
    with np.load(path) as opened:
        return {name: opened[name] for name in opened.files}


# reader → suffix, dtypes that it has
READERS = {
    mindspore_ckpt: (".ckpt", (*INTEGERS, *FLOATS, "bfloat16")),
    mindspore_safetensors: (".safetensors", (*INTEGERS, *FLOATS, "bfloat16")),
    safetensors_torch: (".safetensors", (*INTEGERS, *FLOATS, "bfloat16", "complex64", *FLOAT8)),
    safetensors_numpy: (".safetensors", (*INTEGERS, *FLOATS, "complex64")),
    transformers: (".safetensors", (*INTEGERS, *FLOATS, "bfloat16", "complex64")),
    torch_load: (".pth", (*INTEGERS, *FLOATS, "bfloat16", "complex64", "complex128", *FLOAT8)),
    torch_mapped: (".pth", (*INTEGERS, *FLOATS, "bfloat16", "complex64", "complex128", *FLOAT8)),
    torch_legacy: (".bin", (*INTEGERS, *FLOATS, "bfloat16", "complex64", "complex128", *FLOAT8)),
    numpy_load: (".npz", (*INTEGERS, *FLOATS, "complex64", "complex128")),
}
readers = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


@pytest.fixture
def agree(tmp_path):
    """``agree(reader, tensors)``: they read what we wrote, whatever the order in which they list it."""

    def check(reader, tensors, **options):
        path = tmp_path / f"x{READERS[reader][0]}"
        ts.save_checkpoint(tensors, path, **options)
        found = reader(path)
        assert set(found) == set(tensors)
        for name, tensor in tensors.items():
            ours, theirs = ts.to_numpy(tensor), ts.to_numpy(found[name])
            assert (ours.shape, ours.dtype.name) == (theirs.shape, theirs.dtype.name), name
            assert ours.tobytes() == theirs.tobytes(), name

    return check


@readers
def test_every_dtype_and_shape(reader, agree, any_bits):
    names = READERS[reader][1]
    agree(reader, {f"{name}.{shape}": any_bits(dtype(name), shape) for shape in SHAPES for name in names})
    agree(reader, {f"{name}.{shape}": any_bits(dtype(name), shape) for name in reversed(names) for shape in SHAPES})


@readers
@pytest.mark.parametrize("sizes", [(1, 1), (3, 1), (1, 3), (0, 3), (3, 0)])
def test_any_dtype_after_any_other(reader, sizes, agree, any_bits):
    """A wider one after a narrower one, and the reverse; each by itself, and with one before."""
    names = READERS[reader][1]
    for first, second in itertools.permutations(names[:: 3 if len(names) > 12 else 1], 2):
        one, other = (size or (2, 0) for size in sizes)
        agree(reader, {"z": any_bits(dtype(first), one), "a": any_bits(dtype(second), other)})


@readers
def test_a_network_with_a_batch_norm(reader, agree):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 1).half())
    state = {**net.state_dict(), "mask": torch.tensor([True]), "none": torch.ones(0, 3), "step": torch.tensor(3)}
    agree(reader, state)


@pytest.mark.parametrize("name", ["mindspore", "torch"])
def test_a_network_of_each_framework_in_each_format(name, tmp_path):
    framework = pytest.importorskip(name)
    nn = framework.nn
    if name == "torch":
        net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Embedding(3, 1).double())
    else:
        net = nn.SequentialCell(nn.Dense(3, 5), nn.BatchNorm1d(5), nn.Embedding(3, 1, dtype=framework.float16))
    for reader, (suffix, _) in READERS.items():
        ts.save_checkpoint(net, tmp_path / f"x{suffix}")
        found = reader(tmp_path / f"x{suffix}")
        assert set(found) == {parameter.name for parameter in ts.parameters(net) if parameter.persistent}
        for parameter in ts.parameters(net):
            if parameter.persistent:
                ours, theirs = ts.to_numpy(parameter.value), ts.to_numpy(found[parameter.name])
                assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


@pytest.mark.parametrize("metadata", [None, {"note": "grüße", "epoch": 3}, {"format": "tf"}, {"z": "the tensor"}])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_as_transformers_reads_them(suffix, metadata, tmp_path, any_bits):
    """By the index alone; each shard is a plain state dict, whatever stands beside it."""
    tensors = {name: any_bits(dtype(name), (64,)) for name in (*INTEGERS, *FLOATS, "bfloat16")} | {"z": np.ones(())}
    ts.save_checkpoint(tensors, tmp_path / f"model{suffix}", max_shard_size="1KB", metadata=metadata)
    index = json.loads((tmp_path / f"model{suffix}.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in tensors.values())
    load = transformers if suffix == ".safetensors" else torch_load
    shards = {shard: load(tmp_path / shard) for shard in dict.fromkeys(index["weight_map"].values())}
    assert len(shards) > 2
    assert sum(map(len, shards.values())) == len(tensors)
    for name, array in tensors.items():
        assert ts.to_numpy(shards[index["weight_map"][name]][name]).tobytes() == array.tobytes()


# what stands in the source → what stands in the file that we write
TAGS = {None: "pt", "pt": "pt", "tf": "tf", "flax": "flax", "mlx": "mlx", "np": "pt", "ms": "pt", "odd": "pt"}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("sharded", [False, True])
def test_the_format_in_the_metadata(tag, sharded, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    metadata = None if tag is None else {"format": tag, "note": "n"}
    safetensors.save_file({"a": np.ones(4), "b": np.ones(4)}, tmp_path / "a.safetensors", metadata=metadata)
    size = "32B" if sharded else None
    report = ts.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", max_shard_size=size, progress=False)
    assert report
    for path in tmp_path.glob("b*.safetensors"):
        transformers(path)
    with ts.open_checkpoint(tmp_path / "b.safetensors") as checkpoint:
        assert checkpoint.metadata["format"] == TAGS[tag]
        assert checkpoint.metadata.get("note") == (None if tag is None else "n")
    said = any("dropped: format" in note for note in report.notes)
    assert said is (tag not in (None, TAGS[tag]))


def test_the_format_that_was_asked_for(tmp_path):
    ts.save_checkpoint({"a": np.ones(2)}, tmp_path / "a.safetensors", metadata={"format": "mlx"})
    assert ts.open_checkpoint(tmp_path / "a.safetensors").metadata["format"] == "mlx"


def test_a_checksum_of_another_file_is_not_passed_on(tmp_path):
    """MindSpore would refuse the new file for it."""
    mindspore = pytest.importorskip("mindspore")
    net = mindspore.nn.SequentialCell(mindspore.nn.Dense(2, 3), mindspore.nn.BatchNorm1d(3))
    mindspore.save_checkpoint(net, str(tmp_path / "a.safetensors"), format="safetensors", crc_check=True)
    checkpoint = ts.open_checkpoint(tmp_path / "a.safetensors")
    assert checkpoint.metadata["crc_num"].isdecimal()
    assert checkpoint.metadata["format"] == "ms"
    casts = {"float32": "float64"}
    report = ts.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", cast=casts, progress=False)
    assert any("dropped" in note and "crc_num" in note for note in report.notes)
    found = mindspore.load_checkpoint(str(tmp_path / "b.safetensors"), format="safetensors", crc_check=True)
    assert set(found) == set(checkpoint)


def test_a_note_with_the_name_of_a_tensor_is_dropped(tmp_path):
    """MindSpore takes it for the name of a dtype."""
    tensors = {"a": np.ones(2, np.float32)}
    with pytest.warns(ConversionWarning, match="dropped: a"):
        ts.save_checkpoint(tensors, tmp_path / "x.safetensors", metadata={"a": "a note", "b": "another"})
    assert set(mindspore_safetensors(tmp_path / "x.safetensors")) == {"a"}
    assert ts.open_checkpoint(tmp_path / "x.safetensors").metadata["b"] == "another"


def test_the_order_of_the_names_survives(tmp_path, any_bits, same):
    """Although the data has wider dtypes first, and the header lists it as it lies there."""
    tensors = {f"{name}.{n}": any_bits(dtype(name), (3,)) for n in range(3) for name in (*INTEGERS, *FLOATS)}
    ts.save_checkpoint(tensors, tmp_path / "x.safetensors")
    with ts.open_checkpoint(tmp_path / "x.safetensors") as checkpoint:
        same(tensors, checkpoint)
        assert set(checkpoint.metadata) == {"format"}
    content = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__").keys() == {"format", "ts_order"}
    offsets = [entry["data_offsets"] for entry in header.values()]
    assert offsets == sorted(offsets)
    sizes = [dtype(name.partition(".")[0]).itemsize for name in header]
    assert all(begin % size == 0 for (begin, _), size in zip(offsets, sizes, strict=True))


@pytest.mark.parametrize("order", ["", "0", "0 0", "1 2", "1 0 2", "x y", "-1 0", "9999999999 0", "\u0661 0"])
def test_an_order_that_is_none_changes_nothing(order, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = {"a": np.ones(1), "b": np.zeros(1)}
    safetensors.save_file(tensors, tmp_path / "x.safetensors", metadata={"ts_order": order})
    with ts.open_checkpoint(tmp_path / "x.safetensors") as checkpoint:
        assert {name: array.item() for name, array in checkpoint.items()} == {"a": 1, "b": 0}
