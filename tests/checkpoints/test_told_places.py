"""What a file tells of its tensors goes before anything that could be inferred; names in files that are not paths."""

import importlib.metadata
import json
import sys
import types

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract import FrameworkInfo, LayerRule, hookimpl
from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.files import OutputFile
from ts_core.contract.formats import Format
from ts_core.contract.nouns import CheckpointIndex, Place, TensorInfo
from ts_core.contract.transforms import Concatenate, Transpose
from ts_core.frameworks._registry import GROUP, PluginRegistry

MAGIC = b"MADE"


def sniff(source: ByteSource) -> bool:
    return bytes(source.read(0, 4)) == MAGIC


class Reader:
    """An index of JSON in front, float32 behind; the index may tell layer, kind and role."""

    format = "made-up"

    def __init__(self, source, options):
        self.source, length = source, int.from_bytes(source.read(4, 8), "little")
        self.options = options
        self.offsets, infos, position = {}, {}, 8 + length
        for name, shape, place in json.loads(bytes(source.read(8, position))):
            infos[name] = TensorInfo(name, tuple(shape), np.dtype("<f4"), 4 * int(np.prod(shape)), told(place))
            self.offsets[name] = position
            position += infos[name].nbytes
        self.index = CheckpointIndex(infos)

    def read(self, name):
        return self.source.array(self.offsets[name], self.index[name].shape, self.index[name].dtype)

    def close(self):
        self.source.close()


def told(place):
    if place is None:
        return None
    layer, kind, role = place
    return Place(layer, kind, role, Transpose((1, 0)) if kind == "linear" and role == "weight" else None)


class Writer:
    def __init__(self, path, index):
        places = {
            info.name: info.place and [info.place.layer, info.place.kind, info.place.role] for info in index.values()
        }
        encoded = json.dumps([[name, info.shape, places[name]] for name, info in index.items()]).encode()
        self.file = OutputFile(path)
        self.file.write(MAGIC + len(encoded).to_bytes(4, "little") + encoded)

    def write(self, name, array):
        self.file.write_array(array)

    def finish(self):
        self.file.finish()

    def close(self):
        self.file.close()


class PlugIn:
    """Names in files are neither paths nor tell kinds; Dense keeps its kernel as (in, out)."""

    __name__ = "plugin_made_up"

    @hookimpl
    def framework_info(self):
        formats = (
            Format("made-up", (".weights.h5",), sniff, Reader, Writer, shardable=True),
            Format("other", (".h5",), lambda source: False, Reader, Writer),
        )
        return FrameworkInfo("keraslike", "numpy", formats=formats, file_name=lambda layer, local: f"{layer}/{local}:0")

    @hookimpl
    def layer_rules(self):
        roles, stored = {"kernel": "weight", "bias": "bias"}, {"weight": Transpose((1, 0))}
        norm = {"gamma": "scale", "beta": "bias", "mean": "mean", "variance": "variance"}
        return [
            LayerRule("keraslike.Dense", "linear", roles, stored, file_names={"kernel": "vars/0", "bias": "vars/1"}),
            LayerRule("keraslike.Norm", "batch_norm2d", norm),
        ]


class Entry:
    name = value = "keraslike"
    dist = None

    def load(self):
        return PlugIn()


@pytest.fixture
def made_up(monkeypatch):
    """The framework above beside those that are installed."""
    pytest.importorskip("ts_torch.checkpoints")  # their rules, not their frameworks
    pytest.importorskip("ts_mindspore.checkpoints")
    entries = [*importlib.metadata.entry_points(group=GROUP), Entry()]
    monkeypatch.setattr("ts_core.frameworks._registry._current", PluginRegistry(entries))
    assert "plugin_made_up" not in sys.modules


@pytest.mark.parametrize("changed", [{"shardable": "yes"}, {"nested": 1}])
def test_whether_a_format_is_sharded_or_nested_is_true_or_false(changed):
    with pytest.raises(ts.errors.PluginError, match="shardable and nested must be True or False"):
        Format("x", (".x",), sniff, Reader, Writer, **changed)


def a_file(path):
    """Two layers whose names and shapes tell nothing: a square dense layer, and a norm without usual names."""
    index = CheckpointIndex(
        {
            name: TensorInfo(name, shape, np.dtype("<f4"), 4 * int(np.prod(shape)), place)
            for name, shape, place in [
                ("weird/0", (3, 3), Place("stem.fc", "linear", "weight")),
                ("weird/1", (3,), Place("stem.fc", "linear", "bias")),
                ("weird/2", (3,), Place("norm", "batch_norm2d", "mean")),
                ("weird/3", (3,), Place("norm", "batch_norm2d", "variance")),
                ("weird/4", (3,), Place("norm", "batch_norm2d", "scale")),
                ("weird/5", (3,), Place("norm", "batch_norm2d", "bias")),
            ]
        }
    )
    arrays = {
        name: np.arange(np.prod(info.shape), dtype=np.float32).reshape(info.shape) for name, info in index.items()
    }
    writer = Writer(path, index)
    for name, array in arrays.items():
        writer.write(name, array)
    writer.finish()
    writer.close()
    return arrays


def test_what_a_file_tells_of_its_tensors_is_taken_before_anything_is_inferred(made_up, tmp_path):
    arrays = a_file(tmp_path / "net.weights.h5")
    report = ts.convert(tmp_path / "net.weights.h5", tmp_path / "net.ckpt", to="mindspore")
    assert {row.certainty for row in report.rows} == {"certain"}
    with ts.open_checkpoint(tmp_path / "net.ckpt") as converted:
        assert list(converted) == [
            *("stem.fc.weight", "stem.fc.bias"),
            *("norm.moving_mean", "norm.moving_variance", "norm.gamma", "norm.beta"),
        ]
        assert converted["stem.fc.weight"].tolist() == arrays["weird/0"].T.tolist()


def test_matching_takes_it_as_well(made_up, tmp_path):
    arrays = a_file(tmp_path / "net.weights.h5")
    target = {"stem.fc.weight": (3, 3), "stem.fc.bias": (3,)}
    target |= {f"norm.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")}
    found = ts.weight_map(tmp_path / "net.weights.h5", target)
    assert found.names == {
        **{"weird/0": "stem.fc.weight", "weird/1": "stem.fc.bias", "weird/2": "norm.running_mean"},
        **{"weird/3": "norm.running_var", "weird/4": "norm.weight", "weird/5": "norm.bias"},
    }
    assert arrays


def test_names_in_files_that_are_not_paths_have_a_rule(made_up, tmp_path):
    state = {"stem.fc.weight": np.ones((2, 3), np.float32), "stem.fc.bias": np.ones(2, np.float32)}
    ts.save_checkpoint(state, tmp_path / "net.safetensors")
    ts.convert(tmp_path / "net.safetensors", tmp_path / "net.weights.h5", to="keraslike")
    with ts.open_checkpoint(tmp_path / "net.weights.h5") as converted:
        assert {name: info.shape for name, info in converted.index.items()} == {
            "stem.fc/vars/0:0": (3, 2),
            "stem.fc/vars/1:0": (2,),
        }


def test_a_rule_places_what_a_file_calls_by_attribute_or_by_a_name_of_files():
    kernel, both = Transpose((1, 0)), Concatenate(0, (6, 6))
    rule = LayerRule(
        *("made.up.Cell", "gru_cell", {"kernel": "weight_ih", "bias": ("bias_ih", "bias_hh"), "hidden": "weight_hh"}),
        {"weight_ih": kernel, ("bias_ih", "bias_hh"): both, "weight_hh": lambda layer: layer.layout},
        file_names={"kernel": "vars/0", "bias": "vars/1", "hidden": "vars/2"},
    )
    for local in ("kernel", "vars/0"):
        assert rule.place("rnn.cell", local) == Place("rnn.cell", "gru_cell", "weight_ih", kernel)
    assert rule.place("", "vars/1") == Place("", "gru_cell", ("bias_ih", "bias_hh"), both)
    assert rule.place("", "vars/3") is None
    assert rule.place("", "vars/2") is None  # no layer to ask, and none that stands in for it
    for layout in (kernel, None):
        asked = rule.place("", "vars/2", types.SimpleNamespace(layout=layout))
        assert asked == Place("", "gru_cell", "weight_hh", layout)
