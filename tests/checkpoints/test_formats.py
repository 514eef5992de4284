"""Formats as data: the core's own and those of plug-ins, and what a plug-in for a format of pickles takes."""

import importlib.metadata
import pickle
import sys
import textwrap
import zipfile

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.byte_sources import MappedFile, place_of
from ts_core.contract.formats import Format
from ts_core.errors import PluginWarning
from ts_core.frameworks._registry import GROUP, PluginRegistry

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

# A format of somebody else: what `paddle.save` makes of a state dict.
PADDLE = """
    from ts_core.contract.byte_sources import ByteSource
    from ts_core.contract.formats import Format
    from ts_core.contract.framework_info import FrameworkInfo
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.nouns import CheckpointIndex, TensorInfo
    from ts_core.contract.pickles import NumpyArray, PickleBytes, load

    class Reader:
        format = "paddle"

        def __init__(self, source, options):
            content = load(PickleBytes(source.read(0, len(source))))
            self._arrays = {k: v.array for k, v in content.items() if isinstance(v, NumpyArray)}
            infos = [TensorInfo(k, a.shape, a.dtype, a.nbytes) for k, a in self._arrays.items()]
            self.index = CheckpointIndex({info.name: info for info in infos})

        def read(self, name):
            return self._arrays[name]

        def close(self):
            self._arrays = {}

    def sniff(source):
        return bytes(source.read(0, 2)) == b"\\x80\\x04"

    formats = (Format("paddle", (".pdparams",), sniff, Reader),)
"""
TWO_OF_ONE_ENDING = """
    from ts_torch.checkpoints import FORMATS
    formats = (
        Format("one", (".h5",), sniff, Reader, print),
        Format("two", (".weights.h5",), sniff, Reader, FORMATS[0].create, shardable=True),
    )
"""
INFO = """
    @hookimpl
    def framework_info():
        return FrameworkInfo(name="paddle", distribution="numpy", formats=formats)
"""


@pytest.fixture
def plugin(tmp_path_factory, monkeypatch):
    """``plugin(source)``: installs a plug-in beside those that are there, and answers what is known of it."""
    folder = tmp_path_factory.mktemp("plugin")
    monkeypatch.syspath_prepend(folder)

    def install(source):
        (folder / "plugin_paddle.py").write_text(textwrap.dedent(source) + textwrap.dedent(INFO))
        here = list(importlib.metadata.entry_points(group=GROUP))
        registry = PluginRegistry([*here, importlib.metadata.EntryPoint("paddle", "plugin_paddle", GROUP)])
        monkeypatch.setattr("ts_core.frameworks._registry._current", registry)
        return next(info for info in registry.infos if info.name == "paddle")

    yield install
    sys.modules.pop("plugin_paddle", None)


def test_a_format_of_pickles_is_safe_and_lazy_in_few_lines(plugin, tmp_path, same):
    plugin(PADDLE)
    weights = {"big": np.arange(1 << 20, dtype="f4").reshape(2, -1), "small": np.ones(3, "f8"), "empty": np.ones(0)}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({**weights, "StructuredToParameterName@@": {"big": "linear_0.w_0"}}, 4))
    with ts.open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "paddle"
        same(weights, checkpoint)
        assert place_of(checkpoint["big"])[0].path == str(path)
        assert not checkpoint["big"].flags.writeable
        assert ts.convert(path, tmp_path / "x.safetensors")
        assert ts.compare(path, tmp_path / "x.safetensors")
    path.write_bytes(pickle.dumps({"w": print}, 4))
    assert not ts.open_checkpoint(path)
    path.write_bytes(pickle.dumps(weights, 4)[:-50])
    with pytest.raises(ts.errors.CheckpointError, match=r"x\.pdparams"):
        ts.open_checkpoint(path)


def test_a_format_that_is_only_read_is_not_written(plugin, tmp_path):
    plugin(PADDLE)
    with pytest.raises(ts.errors.ArgumentError, match="can only be read"):
        ts.save_checkpoint({"a": np.ones(1)}, tmp_path / "x", format="paddle")
    with pytest.raises(ts.errors.ArgumentError, match="names no format") as caught:
        ts.save_checkpoint({"a": np.ones(1)}, tmp_path / "x.pdparams")
    assert "paddle" not in str(caught.value).partition("names no format")[2]


def test_the_longest_suffix_names_the_format(plugin, tmp_path):
    plugin(PADDLE + TWO_OF_ONE_ENDING)
    tensors = {name: np.ones(100, "f4") for name in "ab"}
    ts.save_checkpoint(tensors, tmp_path / "x.Weights.H5")
    assert ts.open_checkpoint(tmp_path / "x.Weights.H5").format == "torch"  # its content says so
    ts.save_checkpoint(tensors, tmp_path / "y.weights.h5", max_shard_size=500)
    assert (tmp_path / "y-00001-of-00002.weights.h5").exists()
    assert list(ts.open_checkpoint(tmp_path / "y.weights.h5")) == ["a", "b"]


def test_a_sniff_that_fails_keeps_nobody_from_their_files(plugin, tmp_path):
    plugin(PADDLE.replace('return bytes(source.read(0, 2)) == b"\\x80\\x04"', "raise KeyError('oops')"))
    (tmp_path / "x.txt").write_text("plain text")
    with (
        pytest.warns(PluginWarning, match="format paddle: sniff failed: KeyError"),
        pytest.raises(ts.errors.CheckpointError, match="no known format"),
    ):
        ts.open_checkpoint(tmp_path / "x.txt")


@pytest.mark.parametrize(
    ("formats", "reason"),
    [
        ("{'x': ('.x',)}", "formats"),
        ("[Format('x', ('.x',), sniff, Reader)]", "formats"),
        ("(Format('x', '.x', sniff, Reader),)", "suffixes must be a tuple"),
        ("(Format('x', ('x',), sniff, Reader),)", "suffixes must be a tuple"),
        ("(Format('x', ('.',), sniff, Reader),)", "suffixes must be a tuple"),
        ("(Format('x', (3,), sniff, Reader),)", "suffixes must be a tuple"),
        ("(Format('', ('.x',), sniff, Reader),)", "name of a file format"),
        ("(Format('x', ('.x',), None, Reader),)", "sniff must be a function"),
        ("(Format('x', ('.x',), sniff, Reader, 'writer'),)", "create must be a function"),
    ],
)
def test_malformed_formats_are_a_broken_plugin(plugin, formats, reason):
    with pytest.warns(PluginWarning, match="'paddle'"):
        info = plugin(PADDLE + f"\n    formats = {formats}\n")
    assert reason in info.problem
    assert not info.formats


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".npz"])
def test_key_is_refused_where_there_is_nothing_to_choose(suffix, tmp_path):
    ts.save_checkpoint({"a": np.ones(1)}, tmp_path / f"x{suffix}")
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "x.npy", np.ones(1))
    for path in (tmp_path / f"x{suffix}", tmp_path / "folder", tmp_path / "folder" / "x.npy"):
        with pytest.raises(ts.errors.ArgumentError, match="key='model'"):
            ts.open_checkpoint(path, key="model")
        with pytest.raises(ts.errors.ArgumentError, match="key='model'"):
            ts.convert(path, tmp_path / "y.ckpt", key="model")


def test_a_file_is_mapped_once_and_its_directory_parsed_once(tmp_path, monkeypatch):
    ts.save_checkpoint({"a": np.ones(1)}, tmp_path / "x.pth")
    mapped, parsed = [], []
    init, directory = MappedFile.__init__, zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(MappedFile, "__init__", lambda self, path: (mapped.append(path), init(self, path))[1])
    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", lambda self: (parsed.append(1), directory(self))[1])
    ts.open_checkpoint(tmp_path / "x.pth")
    assert (len(mapped), len(parsed)) == (1, 1)


def test_suffixes_are_told_by_the_end_of_a_name(tmp_path):
    format = Format("x", (".h5", ".weights.h5"), bool, print)
    assert format.suffix_of(tmp_path / "a.Weights.h5") == ".weights.h5"
    assert format.suffix_of(tmp_path / "a.b.h5") == ".h5"
    assert not format.suffix_of(tmp_path / "a.h5.gz")
