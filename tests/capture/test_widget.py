import csv
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts


def test_objects_survive_a_file(tmp_path):
    obj = {"a": [1, 2.5, None, True], "名": "值"}
    ts.widget.object_dump(obj, tmp_path / "o.json")
    assert ts.widget.object_load(tmp_path / "o.json") == obj


def test_an_object_that_json_cannot_hold_leaves_the_old_file(tmp_path):
    ts.widget.object_dump([1], tmp_path / "o.json")
    with pytest.raises(TypeError):
        ts.widget.object_dump({"a": object()}, tmp_path / "o.json")
    assert ts.widget.object_load(tmp_path / "o.json") == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["o.json"]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(seed):
    with pytest.raises(ValueError, match="seed"):
        ts.fix_random(seed)


@pytest.mark.parametrize("seed", ["1", 1.5, True])
def test_a_seed_that_is_no_integer(seed):
    with pytest.raises(TypeError, match="seed"):
        ts.fix_random(seed)


def test_fix_random_repeats_everything_that_is_imported():
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    script = """
import random, numpy as np, torch, mindspore as ms, ts_core as ts

def draw():
    return random.random(), np.random.rand(), torch.rand(3).tolist(), ms.ops.rand(3).asnumpy().tolist()

ts.fix_random()
first = draw()
assert draw() != first
ts.widget.fix_random(16)
assert draw() == first
ts.fix_random(17)
assert draw() != first
assert torch.are_deterministic_algorithms_enabled()
assert ms.get_context("deterministic") == "ON"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_fix_random_imports_no_framework():
    script = """
import sys, ts_core as ts
ts.fix_random()
assert not {"torch", "mindspore"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_get_pt_grads():
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Linear(1, 1))
    net[0](torch.ones(1, 2)).sum().backward()
    grads = ts.widget.get_pt_grads(net)
    assert list(grads) == ["0.weight_0", "0.bias_1", "1.weight_2", "1.bias_3"]
    np.testing.assert_array_equal(grads["0.weight_0"], np.ones((1, 2)))
    assert grads["1.bias_3"] is None


def test_load_ms_weight2net(tmp_path):
    ms = pytest.importorskip("mindspore")
    source, target = ms.nn.Dense(3, 2), ms.nn.Dense(3, 2)
    ms.save_checkpoint(source, str(tmp_path / "net.ckpt"))
    assert ts.widget.load_ms_weight2net(target, tmp_path / "net.ckpt")
    np.testing.assert_array_equal(target.weight.asnumpy(), source.weight.asnumpy())
    with pytest.raises(ValueError):
        ts.widget.load_ms_weight2net(ms.nn.Dense(4, 2), tmp_path / "net.ckpt")


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """``logs(left, right)``: the arguments of loss_compare for two logs of these contents; work in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def write(left, right):
        files = []
        for label, content in {"left": left, "right": right}.items():
            (tmp_path / f"{label}.log").write_text(content)
            files.append({"path": str(tmp_path / f"{label}.log"), "loss_tag": "loss:", "label": label})
        return files

    return write


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_loss_compare(tmp_path, logs, caplog):
    pytest.importorskip("matplotlib")
    left = "start\nepoch 1 loss: 2.0, lr 0.1\nno loss here\nloss: not yet\nepoch 2 loss:1e0\n"
    right = "epoch 1 loss: 1.5\nepoch 2 loss: 1.25\nepoch 3 loss: -.5\n"
    worst = ts.widget.loss_compare(*logs(left, right), title="t")
    assert worst == {"max absolute error": 0.5, "max relative error": pytest.approx(1 / 3)}
    folder = tmp_path / "loss_compare"
    names = {"loss_compare.png", "error.png", "left.csv", "right.csv", "statistic.csv"}
    assert {path.name for path in folder.iterdir()} == names
    assert rows(folder / "left.csv") == [["step", "loss"], ["0", "2.0"], ["1", "1.0"]]
    assert rows(folder / "right.csv")[-1] == ["2", "-0.5"]
    assert rows(folder / "statistic.csv")[1:3] == [["left", "2.0", "1.0", "1.5"], ["right", "1.5", "-0.5", "0.75"]]
    assert rows(folder / "statistic.csv")[3] == ["max absolute error", "0.5"]
    assert "different numbers of losses (left: 2, right: 3)" in caplog.text
    assert "1 lines have no number" in caplog.text
    assert (folder / "error.png").read_bytes().startswith(b"\x89PNG")


def test_a_loss_of_nan_is_not_passed_over(logs):
    pytest.importorskip("matplotlib")
    worst = ts.widget.loss_compare(*logs("loss: nan, lr 0.1\n", "loss: 1\n"))
    assert np.isnan(worst["max absolute error"])


def test_losses_that_cannot_be_compared(logs):
    pytest.importorskip("matplotlib")
    left, right = logs("", "loss: 1\n")
    with pytest.raises(ValueError, match=r"left_file: no line of .*left\.log"):
        ts.widget.loss_compare(left, right)
    with pytest.raises(ValueError, match="right_file: there is no file"):
        ts.widget.loss_compare(right, {**left, "path": "missing"})
    with pytest.raises(ValueError, match="different labels"):
        ts.widget.loss_compare(right, {**left, "label": "right"})
    with pytest.raises(ValueError, match="'loss_tag'"):
        ts.widget.loss_compare({"path": "x", "label": "y"}, right)
    with pytest.raises(TypeError, match="dict"):
        ts.widget.loss_compare("left.log", right)


def test_loss_compare_without_matplotlib(logs, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"ts-core\[plot\]"):
        ts.widget.loss_compare(*logs("loss: 1", "loss: 1"))
