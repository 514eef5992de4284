"""``ts map``, and how a map prints."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core.cli import cli


@pytest.fixture
def files(tmp_path):
    """Two checkpoints: torch's names, and MindSpore's under other module names."""
    tensors = {"fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2), "ln.weight": np.ones(2), "ln.bias": np.ones(2)}
    other = {"a.head.weight": (2, 3), "a.head.bias": (2,), "a.norm.gamma": (2,), "a.norm.beta": (2,)}
    ts.save_checkpoint(tensors, tmp_path / "a.safetensors")
    ts.save_checkpoint({name: np.zeros(shape) for name, shape in other.items()}, tmp_path / "b.safetensors")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["map", *map(str, arguments)], standalone_mode=False)


def test_a_checkpoint_is_translated_or_matched(files):
    pytest.importorskip("ts_mindspore.checkpoints")
    pytest.importorskip("ts_torch.checkpoints")
    result = run(files / "a.safetensors", "-o", files / "m.json", "--prefix", "net", "--rename", "ln=norm")
    assert result.return_value == 0, result.output
    assert json.loads((files / "m.json").read_text())[0]["ln.weight"] == "net.norm.gamma"
    assert "net.norm.gamma" in result.output
    result = run(files / "a.safetensors", "--like", files / "b.safetensors", "-o", files / "m.json", "--quiet")
    assert result.return_value == 0
    assert not result.output
    assert ts.WeightMap.load(files / "m.json")["ln.bias"] == "a.norm.beta"


def test_a_framework_that_nobody_knows_is_named(files):
    pytest.importorskip("ts_mindspore")
    problem = run(files / "a.safetensors", "--to", "pytorch").exception
    assert isinstance(problem, ts.errors.ArgumentError)
    assert "no plug-in for a framework called 'pytorch' (known: " in str(problem)


def test_translating_and_matching_contradict_each_other(files):
    problem = run(files / "a.safetensors", "--to", "mindspore", "--like", files / "b.safetensors").exception
    assert "--to and --like contradict each other" in str(problem)


def test_what_is_left_open_is_printed_and_gives_1(files):
    pytest.importorskip("ts_mindspore.checkpoints")
    pytest.importorskip("ts_torch.checkpoints")
    ts.save_checkpoint({"fc.weight": np.ones((2, 3)), "x.weight": np.ones((7, 7))}, files / "c.safetensors")
    result = run(files / "a.safetensors", "--like", files / "c.safetensors")
    assert result.return_value == 1
    assert "error: x.weight (7, 7)" in result.output


def test_a_map_prints_its_entries_and_its_questions():
    found = ts.weight_map(
        {"a.weight": np.ones((2, 3)), "b.weight": np.ones((2, 3)), "h.weight": np.ones((4, 5))},
        {"c.weight": (2, 3), "h.weight": (4, 5), "i.weight": (9, 9)},
    )
    text = str(found)
    assert "h.weight | h.weight" in text
    assert "certain" in text
    assert "a.weight, b.weight -> c.weight: 2 in the source and 1 in the target" in text
    assert "error: i.weight (9, 9)" in text
    assert "1 ambiguous" in repr(found)
    assert not found.complete


def test_networks_that_have_nothing_to_do_with_each_other_are_refused_in_a_sentence():
    source = {f"a{i}.weight": np.ones((i + 2, 3)) for i in range(300)}
    target = {f"b{i}.weight": (i + 2, 5) for i in range(300)}
    with pytest.raises(ValueError, match="do not belong together") as error:
        ts.weight_map(source, target)
    assert len(str(error.value)) < 300
