"""The guide's small helpers."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, [], "文", 3])
def test_objects_come_back(here, value):
    ts.widget.object_dump(value, here / "x.json")
    assert ts.widget.object_load(str(here / "x.json")) == value


def test_what_json_cannot_hold_leaves_the_file_alone(here):
    ts.widget.object_dump({"a": 1}, "x.json")
    with pytest.raises(TypeError):
        ts.widget.object_dump({"a": object()}, "x.json")
    assert ts.widget.object_load("x.json") == {"a": 1}
    (here / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        ts.widget.object_load("bad.json")


def test_gradients_by_name_and_position():
    torch = pytest.importorskip("torch")
    pytest.importorskip("ts_torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    net[2].weight.requires_grad_(False)
    net(torch.ones(4, 2)).sum().backward()
    grads = ts.widget.get_pt_grads(net)
    assert list(grads) == ["0.weight_0", "0.bias_1", "1.weight_2", "1.bias_3", "2.weight_4", "2.bias_5"]
    assert grads["2.weight_4"] is None
    assert np.array_equal(grads["2.bias_5"], net[2].bias.grad.numpy())


def test_a_checkpoint_is_loaded_into_a_network(here):
    mindspore = pytest.importorskip("mindspore")
    pytest.importorskip("ts_mindspore")
    source, target = mindspore.nn.Dense(2, 3), mindspore.nn.Dense(2, 3)
    source.bias.set_data(mindspore.Tensor([1.0, 2.0, 3.0]))
    mindspore.save_checkpoint(source, "net.ckpt")
    ts.widget.load_ms_weight2net(target, "net.ckpt")
    assert target.bias.asnumpy().tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="weight"):
        ts.widget.load_ms_weight2net(mindspore.nn.Dense(3, 3), "net.ckpt")


def log(path, lines: list[str], label: str, tag: str = "loss:") -> dict[str, str]:
    path.write_text("\n".join(lines))
    return {"path": str(path), "loss_tag": tag, "label": label}


def rows(path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_two_logs_are_compared(here):
    pytest.importorskip("matplotlib")
    left = log(here / "l.log", ["epoch 1 loss: 2.0", "no number loss: n/a", "step 7 loss:1.5e0, lr 3"], "torch")
    right = log(here / "r.log", ["loss is 2.5 at 1", "nothing", "loss is 1.0", "loss is .5"], "MindSpore", "loss is")
    ts.widget.loss_compare(left, right)
    out = here / "loss_compare"
    for picture in ("loss_compare.png", "error.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    assert rows(out / "torch.csv") == [["step", "loss"], ["0", "2.0"], ["1", "1.5"]]
    assert rows(out / "MindSpore.csv")[1:] == [["0", "2.5"], ["1", "1.0"], ["2", "0.5"]]
    figures = {name: values for name, *values in rows(out / "statistic.csv")[1:]}
    assert figures["max"] == ["2.0", "2.5"]
    assert figures["min"] == ["1.5", "0.5"]
    assert [float(v) for v in figures["mean"]] == [1.75, pytest.approx(4 / 3)]
    assert figures["max absolute error"][0] == "0.5"
    assert figures["max relative error"][0] == "0.5"


def test_nan_losses_and_equal_labels(here):
    pytest.importorskip("matplotlib")
    left = log(here / "l.log", ["loss: nan", "loss: -1"], "run")
    right = log(here / "r.log", ["loss: 0", "loss: 0"], "run")
    ts.widget.loss_compare(left, right, title="Zero")
    assert math.isnan(float(rows(here / "loss_compare" / "run_left.csv")[1][1]))
    figures = {name: values for name, *values in rows(here / "loss_compare" / "statistic.csv")[1:]}
    assert figures["mean"] == ["nan", "0.0"]
    assert figures["max relative error"][0] == "nan"
    assert rows(here / "loss_compare" / "run_right.csv")[1:] == [["0", "0.0"], ["1", "0.0"]]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"loss_tag": "accuracy"}, "right_file: no line of .*r.log has a number after 'accuracy'"),
        ({"label": None}, "right_file lacks label"),
        ({"path": "empty.log"}, "right_file: no line of empty.log"),
    ],
)
def test_a_log_without_losses_is_named(here, change, complaint):
    (here / "empty.log").write_text("")
    left = log(here / "l.log", ["loss: 1"], "torch")
    right = {k: v for k, v in {**log(here / "r.log", ["loss: 1"], "MindSpore"), **change}.items() if v is not None}
    with pytest.raises(ValueError, match=complaint):
        ts.widget.loss_compare(left, right)
    assert not (here / "loss_compare").exists()


def test_wrong_arguments(here):
    good = log(here / "l.log", ["loss: 1"], "torch")
    with pytest.raises(TypeError, match="left_file must be a dict"):
        ts.widget.loss_compare("l.log", good)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.log"):
        ts.widget.loss_compare({**good, "path": "nowhere.log"}, good)


def test_without_matplotlib_the_error_says_what_to_install(here):
    good = log(here / "l.log", ["loss: 1"], "torch")
    script = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['matplotlib.figure'] = None\n"
        f"import json, ts_core as ts; log = json.loads({json.dumps(json.dumps(good))})\n"
        "ts.widget.loss_compare(log, log)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert 'pip install "ts-core[plot]"' in run.stderr
    assert not (here / "loss_compare").exists()
