"""Every dtype and shape, through every format that can hold it, bit for bit; and the frameworks read what we wrote."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

NATIVE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
HOLDS = {
    ".ckpt": {*NATIVE, *FLOATS, "bfloat16"},
    ".pth": {*NATIVE, *FLOATS, *COMPLEX, *FLOAT8, "bfloat16"},
    ".safetensors": {*NATIVE, *FLOATS, *FLOAT8, "bfloat16", "complex64"},
    ".npz": {*NATIVE, *FLOATS, *COMPLEX},
}
ALL = (*NATIVE, *FLOATS, *COMPLEX, *FLOAT8, "bfloat16")
SHAPES = [(), (1,), (5,), (0, 3), (3, 0, 2), (2, 3), (2, 3, 4), (2, 1, 3, 2), (1, 2, 3, 2, 1), (2, 1, 2, 1, 2, 3)]


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


@pytest.mark.parametrize("suffix", HOLDS)
def test_every_dtype_and_shape(suffix, tmp_path, any_bits, same):
    arrays = {
        f"{name}.{shape}": any_bits(dtype(name), shape) for name in ALL if name in HOLDS[suffix] for shape in SHAPES
    }
    path = tmp_path / f"x{suffix}"
    ts.save_checkpoint(arrays, path)
    with ts.open_checkpoint(path) as checkpoint:
        same(arrays, checkpoint)
        for name, array in arrays.items():
            info = checkpoint.info(name)
            assert (info.shape, info.dtype.name, info.nbytes) == (array.shape, array.dtype.name, array.nbytes)


@pytest.mark.parametrize("suffix", HOLDS)
@pytest.mark.parametrize("name", ALL)
def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(suffix, name, tmp_path):
    if name in HOLDS[suffix]:
        return
    arrays = {"fine": np.zeros(2, np.float32), "one": np.zeros(2, dtype(name)), "other": np.zeros((1, 2), dtype(name))}
    with pytest.raises(ts.errors.UnsupportedDtypeError) as caught:
        ts.save_checkpoint(arrays, tmp_path / f"x{suffix}")
    for expected in (name, "one", "other", "nothing was written"):
        assert expected in str(caught.value)
    assert "fine" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", HOLDS)
@pytest.mark.parametrize("destination", HOLDS)
def test_every_reader_to_every_writer(source, destination, tmp_path, any_bits, same):
    names = [name for name in ALL if name in HOLDS[source] & HOLDS[destination]]
    arrays = {f"layer.{name}": any_bits(dtype(name), (3, 2)) for name in names}
    first, second = tmp_path / f"a{source}", tmp_path / f"b{destination}"
    ts.save_checkpoint(arrays, first)
    assert ts.convert(first, second, progress=False)
    same(arrays, ts.open_checkpoint(second))


def test_an_npy_file_holds_one_tensor(tmp_path):
    one, other = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3)
    other[1, 2] = 7
    np.save(tmp_path / "one.npy", one)
    np.save(tmp_path / "other.npy", np.asfortranarray(other))
    with ts.open_checkpoint(tmp_path / "one.npy") as checkpoint:
        assert {name: array.tolist() for name, array in checkpoint.items()} == {"array": one.tolist()}
    (row,) = ts.compare(tmp_path / "one.npy", tmp_path / "other.npy").rows
    assert (row.metrics.worst, row.metrics.worst_target) == ((1, 2), 7.0)


def test_a_folder_of_npy_files_converts_to_every_format(tmp_path, weights, same):
    folder = tmp_path / "saved"
    folder.mkdir()
    for name, array in weights.items():
        np.save(folder / f"{name}.npy", array)
    ordered = dict(sorted(weights.items()))
    same(ordered, ts.open_checkpoint(folder))
    for suffix in HOLDS:
        ts.convert(folder, tmp_path / f"x{suffix}", progress=False)
        same(ordered, ts.open_checkpoint(tmp_path / f"x{suffix}"))


@pytest.mark.parametrize("suffix", HOLDS)
def test_memory_layouts(suffix, tmp_path, same):
    plain = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "fortran": np.asfortranarray(plain),
        "big endian": plain.astype(">f4"),
        "transposed": plain.T,
        "strided": plain[::2, 1::3],
        "reversed": plain[::-1],
        "broadcast": np.broadcast_to(plain[0], (3, 6)),
        "big endian scalar": np.array(3, ">i8"),
    }
    ts.save_checkpoint(arrays, tmp_path / f"x{suffix}")
    expected = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")).reshape(a.shape) for name, a in arrays.items()}
    same(expected, ts.open_checkpoint(tmp_path / f"x{suffix}"))


def test_an_empty_vector_is_refused_by_mindspores_format_only(tmp_path, same):
    arrays = {"none": np.zeros(0, np.float32), "two": np.zeros(2, np.float32)}
    with pytest.raises(ts.errors.UnsupportedDtypeError, match=r"\(0,\).*none"):
        ts.save_checkpoint(arrays, tmp_path / "x.ckpt")
    for suffix in (".pth", ".safetensors", ".npz"):
        ts.save_checkpoint(arrays, tmp_path / f"x{suffix}")
        same(arrays, ts.open_checkpoint(tmp_path / f"x{suffix}"))


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple).filter(lambda shape: shape != (0,))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    tensors=st.dictionaries(names, st.tuples(st.sampled_from((*NATIVE, *FLOATS)), shapes), max_size=6),
    route=st.lists(st.sampled_from(sorted(HOLDS)), min_size=1, max_size=3),
)
def test_any_names_and_shapes_survive_any_route(tensors, route, tmp_path, any_bits, same):
    arrays = {name: any_bits(dtype(kind), shape) for name, (kind, shape) in tensors.items() if name != "__metadata__"}
    if not arrays:
        return
    source = arrays
    for position, suffix in enumerate(route):
        path = tmp_path / f"{position}{suffix}"
        ts.save_checkpoint(source, path)
        source = ts.open_checkpoint(path)
    same(arrays, source)


def test_torch_reads_what_we_write(tmp_path, any_bits, same):
    torch = pytest.importorskip("torch")
    arrays = {f"{name}.{s}": any_bits(dtype(name), s) for name in sorted(HOLDS[".pth"]) for s in [*SHAPES, (0,)]}
    ts.save_checkpoint(arrays, tmp_path / "x.pth")
    for mmap in (False, True):
        same(arrays, torch.load(tmp_path / "x.pth", weights_only=True, mmap=mmap))
    tensor = torch.load(tmp_path / "x.pth", weights_only=True, mmap=True)["float32.(2, 3, 4)"]
    assert tensor.is_contiguous()
    assert tensor.data_ptr() % 64 == 0


def test_torch_reads_metadata_beside_the_state_dict(tmp_path):
    torch = pytest.importorskip("torch")
    metadata = {"epoch": 3, "best": 0.5, "note": "grüße", "done": True, "steps": [1, (2, 1 << 40)], "more": {"a": None}}
    ts.save_checkpoint({"w": np.ones(2)}, tmp_path / "x.pth", metadata=metadata)
    loaded = torch.load(tmp_path / "x.pth", weights_only=True)
    assert {name: value for name, value in loaded.items() if name != "state_dict"} == metadata
    assert list(loaded["state_dict"]) == ["w"]
    with ts.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        assert dict(checkpoint.metadata) == metadata
        assert list(checkpoint) == ["w"]


def test_mindspore_reads_what_we_write(tmp_path, any_bits, same):
    mindspore = pytest.importorskip("mindspore")
    arrays = {f"{name}.{s}": any_bits(dtype(name), s) for name in sorted(HOLDS[".ckpt"]) for s in SHAPES}
    ts.save_checkpoint(arrays, tmp_path / "x.ckpt", metadata={"note": "grüße", "epoch": 3, "rate": 0.5, "done": True})
    loaded = mindspore.load_checkpoint(str(tmp_path / "x.ckpt"))
    assert loaded.pop("note") == "grüße"
    assert [loaded.pop(name).asnumpy().item() for name in ("epoch", "rate", "done")] == [3, 0.5, True]
    same(arrays, loaded)


def test_the_safetensors_package_reads_what_we_write(tmp_path, any_bits, same):
    pytest.importorskip("torch")
    safetensors_torch = pytest.importorskip("safetensors.torch")
    safetensors = pytest.importorskip("safetensors")
    # The package loads uint16 and its like only with newer torch; these are the dtypes that every release knows.
    known = [*NATIVE[:6], *FLOATS, "bfloat16", "float8_e4m3fn", "float8_e5m2"]
    arrays = {f"{name}.{s}": any_bits(dtype(name), s) for name in known for s in [*SHAPES, (0,)]}
    ts.save_checkpoint(arrays, tmp_path / "x.safetensors", metadata={"note": "grüße"})
    loaded = safetensors_torch.load_file(tmp_path / "x.safetensors")
    same(arrays, {name: loaded[name] for name in arrays})
    with safetensors.safe_open(tmp_path / "x.safetensors", "np") as opened:
        assert opened.metadata()["note"] == "grüße"


def test_numpy_reads_what_we_write(tmp_path, any_bits, same):
    arrays = {f"{name}.{s}": any_bits(dtype(name), s) for name in sorted(HOLDS[".npz"]) for s in [*SHAPES, (0,)]}
    ts.save_checkpoint(arrays, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as loaded:
        same(arrays, loaded)
