"""What was written reads back, names and metadata included; or it is refused before the first byte, or named."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.errors import CheckpointError, ConversionWarning
from ts_core.text import safe

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

SUFFIXES = (".ckpt", ".pth", ".bin", ".safetensors", ".npz")
SHARDED = (".bin", ".safetensors")
OLD = {"old": np.arange(3.0)}
NAMES = [
    *("", " ", ".", "..", "/", "//", "a/b", "../a", "/a", "a/", "a\\b", "C:a", "a.npy", ".npy", "a.npy.npy", "-", "*"),
    *(
        "a\0b",
        "\0",
        "a\0",
        "\n",
        "a\r\nb",
        "\x1b[31m",
        "\u202e",
        "é",
        "e\u0301",
        "名",
        "😀",
        "\ud800",
        "a\udfff",
        "\ufeff",
    ),
    *("__metadata__", "__metadata", "format", "weight_map", "state_dict", "model", "crc_num", "array", "file", "files"),
    *(
        "a" * 255,
        "a" * 1023,
        "a" * 65531,
        "a" * 65532,
        "a" * 70_000,
        "é" * 40_000,
        "data.pkl",
        "version",
        "ts_order",
        "None",
        "0",
    ),
]
REFUSED = {
    ".ckpt": {"\ud800", "a\udfff", "a" * 65531, "a" * 65532, "a" * 70_000, "é" * 40_000},
    ".pth": set(),
    ".bin": set(),
    ".safetensors": {"\ud800", "a\udfff", "__metadata__"},
    ".npz": {"\ud800", "a\udfff", "a\0b", "\0", "a\0", "a" * 65532, "a" * 70_000, "é" * 40_000},
}
slow = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def theirs(path):
    """The names that the reader of those finds who own the format."""
    if path.suffix == ".npz":
        with np.load(path) as opened:
            return {name: opened[name] for name in opened.files}
    if path.suffix == ".safetensors":
        return pytest.importorskip("safetensors.numpy").load_file(path)
    if path.suffix == ".ckpt":
        return pytest.importorskip("mindspore").load_checkpoint(str(path))
    return pytest.importorskip("torch").load(path, weights_only=True)


def held(tensors, path, **options):
    """Write, and read back; an error when the old checkpoint was touched by a refusal."""
    ts.save_checkpoint(OLD, path)
    before, refused = path.read_bytes(), None
    try:
        ts.save_checkpoint(tensors, path, **options)
    except CheckpointError as problem:
        refused = problem
    if refused is not None:
        assert "nothing was written" in str(refused)
        assert path.read_bytes() == before
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        return False
    with ts.open_checkpoint(path) as checkpoint:
        assert list(checkpoint) == list(tensors)
        assert all((checkpoint[name] == array).all() for name, array in tensors.items() if array.size)
        assert all(checkpoint[name].shape == array.shape for name, array in tensors.items())
    return True


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", NAMES, ids=lambda name: f"{ascii(name)[:20]}.{len(name)}")
def test_names(suffix, name, tmp_path):
    path = tmp_path / f"x{suffix}"
    tensors = {"first": np.ones(2, np.float32), name: np.full(2, 2, np.float32), "last": np.full(2, 3, np.float32)}
    assert held(tensors, path) is (name not in REFUSED[suffix])
    if name not in REFUSED[suffix]:
        found = theirs(path)
        assert set(found) == set(tensors)
        assert {key: float(np.asarray(ts.to_numpy(found[key]))[0]) for key in tensors} == {
            "first": 1,
            name: 2,
            "last": 3,
        }


def test_names_that_numpy_could_not_tell_apart(tmp_path):
    assert not held({"a": np.ones(1), "a.npy": np.zeros(1)}, tmp_path / "x.npz")
    assert held({"a.npy": np.ones(1), "b": np.zeros(1)}, tmp_path / "x.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
@slow
@given(names=st.lists(st.text(st.characters(codec=None), max_size=8), min_size=1, max_size=5, unique=True))
def test_any_names(suffix, names, tmp_path):
    path = tmp_path / f"x{suffix}"
    tensors = {name: np.full(2, number, np.float32) for number, name in enumerate(names)}
    if held(tensors, path) and suffix != ".ckpt":  # MindSpore takes too long to ask it that often
        assert set(theirs(path)) == set(names)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("metadata", [None, {"epoch": 3}])
def test_no_tensors(suffix, metadata, tmp_path):
    path = tmp_path / f"x{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        assert held({}, path, metadata=metadata) is (suffix in (".safetensors", ".npz"))
    if suffix == ".npz":
        path = path.rename(tmp_path / "renamed.without.meaning")
        assert ts.open_checkpoint(path).format == "npz"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "shape", [(1,) * 9, (1,) * 32, (2**31 - 1, 0), (2**31, 0), (0, 2**50), (2**60, 0), (1, 0, 2**60)]
)
def test_shapes(suffix, shape, tmp_path):
    path, tensors = tmp_path / f"x{suffix}", {"a": np.ones(shape, np.float32)}
    fits = max(shape) < (2**31 if suffix == ".ckpt" else 2**59)
    assert held(tensors, path) is fits
    if fits:
        assert tuple(theirs(path)["a"].shape) == shape


def test_a_header_that_would_be_too_long_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr("ts_core.checkpoints.formats._safetensors._MAX_HEADER", 10_000)
    assert not held({f"{n}{'x' * 400}": np.ones(1) for n in range(30)}, tmp_path / "x.safetensors")


# Metadata

VALUES = {
    **{"text": "n", "empty": "", "long": "x" * 5000, "other": "grüße 名 😀", "null": "a\0b", "nulls": "a\0\0"},
    **{"half": "\ud800", "true": True, "int": 3, "negative": -3, "large": 2**63, "huge": 2**5000, "half int": -(2**63)},
    **{"float": 0.5, "nan": math.nan, "inf": -math.inf, "none": None, "list": [1, "a", None, [2.5]], "tuple": (1, 2)},
    **{"dict": {"a": 1, "b": {"c": []}}, "int keys": {1: "a"}, "set": {1}, "array": np.ones(2), "bytes": b"a"},
    **{"numpy": np.float32(3), "numpy double": np.float64(3), "complex": 1j, "object": object()},
}


def same(one, other):
    return isinstance(one, type(other)) and (one == other or (one != one and other != other))


def kept(path, metadata, **options):
    """The metadata that reads back as it was; all else was named in a warning, and in the note of a report."""
    tensors = {"w": np.ones(8, np.float32), "v": np.ones(8, np.float32)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConversionWarning)
        ts.save_checkpoint(tensors, path, metadata=metadata, **options)
    said = "".join(str(each.message) for each in caught)
    shown = set(said.partition("was dropped: ")[2].split(", "))
    named = {name for name in metadata if (safe(name) or "''") in shown}
    with ts.open_checkpoint(path) as checkpoint:
        found = {**checkpoint.metadata}
        # MindSpore's files know numbers as tensors alone
        found |= {name: checkpoint[name].item() for name in checkpoint if name in metadata and name not in tensors}
    found = {name: value for name, value in found.items() if name in metadata}
    assert set(found) == set(metadata) - named, set(found) ^ set(metadata) ^ named
    for name, value in found.items():
        assert same(value, metadata[name]) or isinstance(metadata[name], np.floating), (name, value)
    return set(found)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", VALUES)
def test_metadata_reads_back_or_is_named(suffix, name, tmp_path):
    assert kept(tmp_path / f"x{suffix}", {name: VALUES[name], "note": "n"}) >= ({"note"} if suffix != ".npz" else set())


@pytest.mark.parametrize("suffix", SHARDED)
@pytest.mark.parametrize("name", VALUES)
def test_metadata_of_shards(suffix, name, tmp_path):
    path = tmp_path / f"x{suffix}"
    assert kept(path, {name: VALUES[name], "note": "n"}, max_shard_size="32B") >= {"note"}
    assert not path.exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["", "w", "state_dict", "total_size", "ts_order", "crc_num", "é", "\ud800", "a\0"])
def test_names_of_metadata(suffix, name, tmp_path):
    kept(tmp_path / f"x{suffix}", {name: "text", "note": "n"})
    if suffix in SHARDED:
        kept(tmp_path / f"y{suffix}", {name: "text", "note": "n"}, max_shard_size="32B")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("sharded", [False, True])
@slow
@given(metadata=st.dictionaries(st.sampled_from("abcdef"), plain, max_size=4))
def test_any_metadata(suffix, sharded, metadata, tmp_path):
    def without_nan(value):
        if isinstance(value, dict):
            return {key: without_nan(item) for key, item in value.items()}
        if isinstance(value, list):
            return [without_nan(item) for item in value]
        return 0.5 if value != value else value

    if not sharded or suffix in SHARDED:
        kept(tmp_path / f"x{suffix}", without_nan(metadata), **({"max_shard_size": "32B"} if sharded else {}))


def test_a_conversion_warns_of_metadata_and_has_it_in_its_report(tmp_path):
    ts.save_checkpoint({"w": np.ones(8), "v": np.ones(8)}, tmp_path / "x.pth", metadata={"epoch": 3, "deep": [(1,)]})
    for name, size, dropped in (("a.safetensors", None, "epoch, deep"), ("b.safetensors", "64B", "deep")):
        with pytest.warns(ConversionWarning, match=rf"{name}: .*was dropped: {dropped}$"):
            report = ts.convert(tmp_path / "x.pth", tmp_path / name, max_shard_size=size, progress=False)
        assert report
        assert any(note.endswith(f"dropped: {dropped}") for note in report.notes)
    assert ts.open_checkpoint(tmp_path / "b.safetensors").metadata["epoch"] == 3


def test_what_tells_of_the_file_is_a_note_and_no_warning(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({"w": np.ones(2)}, tmp_path / "a.safetensors", metadata={"format": "pt", "crc_num": "1"})
    assert ts.open_checkpoint(tmp_path / "a.safetensors").metadata == {"format": "pt", "crc_num": "1"}
    for suffix in (".pth", ".ckpt", ".npz"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = ts.convert(tmp_path / "a.safetensors", tmp_path / f"b{suffix}", progress=False)
            ts.save_checkpoint(ts.open_checkpoint(tmp_path / "a.safetensors"), tmp_path / f"c{suffix}")
        (note,) = (note for note in report.notes if "dropped" in note)
        assert {*note.partition("dropped: ")[2].split(", ")} == {"format", "crc_num"}
        assert not ts.open_checkpoint(tmp_path / f"b{suffix}").metadata
    assert set(theirs(tmp_path / "b.pth")) == {"w"}  # a plain state dict, as before


def test_metadata_that_shards_and_index_do_not_agree_upon(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    for number, note in enumerate("ab"):
        safetensors.save_file({note: np.ones(1)}, tmp_path / f"{number}.safetensors", {"note": note, "format": "pt"})
    index = {"weight_map": {"a": "0.safetensors", "b": "1.safetensors"}, "metadata": {"total_size": 16, "epoch": 3}}
    (tmp_path / "x.safetensors.index.json").write_text(json.dumps(index))
    found = ts.open_checkpoint(tmp_path).metadata
    assert found == {"epoch": 3, "note": "a", "format": "pt", "note (1.safetensors)": "b"}


@pytest.mark.parametrize("metadata", [3, [1], "text", True])
def test_metadata_of_an_index_that_is_none(metadata, tmp_path):
    ts.save_checkpoint({"a": np.ones(8), "b": np.ones(8)}, tmp_path / "x.safetensors", max_shard_size="64B")
    index = tmp_path / "x.safetensors.index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "metadata": metadata}))
    with pytest.raises(CheckpointError, match=r"index\.json.*metadata"):
        ts.open_checkpoint(index)


@pytest.mark.parametrize("text", ["", "a", "ab\0c", "grüße 名 😀", " ", "\n"])
def test_strings_of_an_append_dict(text, tmp_path):
    mindspore = pytest.importorskip("mindspore")
    path, tensors = tmp_path / "x.ckpt", [{"name": "w", "data": mindspore.Tensor([1.0])}]
    mindspore.save_checkpoint(tensors, str(path), append_dict={"note": text, "end": "e"})
    assert dict(ts.open_checkpoint(path).metadata) == {"note": text, "end": "e"}
    ts.convert(path, tmp_path / "y.ckpt", progress=False)
    found = mindspore.load_checkpoint(str(tmp_path / "y.ckpt"))
    assert (found["note"], found["end"], found["w"].asnumpy().tolist()) == (text, "e", [1.0])


@pytest.mark.parametrize("tail", [b"crc_num" + bytes(10), b"crc_num0123456789", b"crc_num", b"xcrc_num" + bytes(9)])
def test_elements_that_look_like_a_checksum(tail, tmp_path):
    tensors = {"first": np.ones(3), "w": np.frombuffer(b"elements " + tail, np.uint8)}
    path = tmp_path / "x.ckpt"
    assert held(tensors, path)
    assert list(ts.open_checkpoint(path, verify=True)) == list(tensors)
    found = theirs(path)
    assert found["w"].asnumpy().tobytes().endswith(tail)
