"""Traces: written, read without a framework, compared, and either side of a search."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.cli import cli

torch = pytest.importorskip("torch")
pytest.importorskip("mindspore")

from tests.location import mindspore_nets as ours  # noqa: E402 - they need the frameworks
from tests.location import torch_nets as theirs  # noqa: E402
from tests.location.test_locate import IMAGES, X, loss, pair, places  # noqa: E402


@pytest.fixture
def nets():
    return pair(theirs.Mixer(), ours.Mixer(first=["eps"], second=["gelu"]))


WRONG = [("forward", "layer", "blocks.0.norm"), ("forward", "layer", "blocks.1.act")]


def test_a_trace_holds_calls_and_arrays_by_name(tmp_path, nets):
    file = tmp_path / "a.trace"
    kept = ts.trace(nets[0], X, file, loss=loss, seed=1)
    with ts.Trace.open(file) as trace:
        assert [(c.path, c.nth) for c in trace.calls][:3] == [("", 0), ("stem", 0), ("blocks.0", 0)]
        assert list(trace) == list(kept)
        shared = [c for c in trace.calls if c.path == "shared"]
        assert [c.nth for c in shared] == [0, 1]
        with torch.no_grad():
            output = nets[0](torch.tensor(X))
        assert np.array_equal(trace.output["logits"], output["logits"].numpy())
        assert np.array_equal(trace["head:0:outputs"], output["logits"].numpy())
        assert np.array_equal(trace["(network):0:inputs.0"], X)
        assert np.array_equal(trace["parameters.head.weight"], nets[0].head.weight.detach().numpy())
        assert trace["gradients.head.weight"].shape == (3, 8)
        assert any(name.endswith(":outputs:gradient") for name in trace)
        assert trace.settings["blocks.0.norm"]["eps"] == 1e-5
        assert shared[0].callers[0].text == "x = self.shared(block(x)) / 8**0.5"
        assert (trace.framework, trace.network, trace.seed) == ("torch", "Mixer", 1)
        assert trace.loss == pytest.approx(float(loss(output)))


def test_a_trace_is_a_source(tmp_path, nets):
    ts.trace(nets[0], X, tmp_path / "a.trace")
    ts.trace(nets[0], X, tmp_path / "b.trace", memory="100B")
    assert ts.compare(tmp_path / "a.trace", tmp_path / "b.trace", progress=False)
    other = ts.trace(nets[0], X + 1)
    report = ts.compare(ts.trace(nets[0], X), other, progress=False)
    assert not report
    assert any(row.original == "(network):0:inputs.0" for row in report.failed)
    with ts.open_checkpoint(tmp_path / "a.trace") as opened:
        assert "stem:0:outputs" in opened


def test_what_ts_save_saves_is_a_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Saving(torch.nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            ts.save("probe", y)
            return y

    trace = ts.trace(Saving(3, 2), np.ones((1, 3), np.float32))
    assert trace.calls[1].path == "probe"
    assert "(network):0:inputs.0" in trace


def test_a_trace_is_read_and_compared_without_a_framework(tmp_path, nets):
    for name, net in zip("ab", nets, strict=True):
        ts.trace(net, X, tmp_path / f"{name}.trace")
    code = """
import sys
import ts_core as ts
report = ts.locate("a.trace", "b.trace")
assert report.first.where == "layer" and report.first.target == "blocks.0.norm", report
assert report.first.hints[0].setting == "eps"
assert any("cannot be run again" in note for note in report.notes)
assert not {"torch", "mindspore"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_either_side_may_be_a_trace(tmp_path, nets):
    source, target = nets
    ts.trace(source, X, tmp_path / "a.trace")
    ts.trace(target, X, tmp_path / "b.trace")
    for report in (
        ts.locate(tmp_path / "a.trace", target),
        ts.locate(source, tmp_path / "b.trace", X),
        ts.locate(ts.trace(source, X), target),
    ):
        assert places(report) == WRONG, report
    mirrored = ts.locate(source, tmp_path / "b.trace", X).first.hints[0]
    assert (mirrored.setting, mirrored.source_value, mirrored.target_value) == ("eps", 1e-5, 1e-3)


def test_a_clean_pair_is_clean_by_its_traces_too(tmp_path):
    source, target = pair(theirs.Mixer(), ours.Mixer())
    for name, net in zip("ab", (source, target), strict=True):
        ts.trace(net, {"x": X, "scale": 2.0}, tmp_path / f"{name}.trace")
    assert ts.locate(tmp_path / "a.trace", target)
    assert ts.locate(tmp_path / "b.trace", source)
    assert ts.locate(tmp_path / "a.trace", tmp_path / "b.trace")


def test_the_backward_pass_from_a_trace(tmp_path):
    source, target = pair(theirs.Mixer(), ours.Mixer(own=["detached"]))
    ts.trace(source, X, tmp_path / "a.trace", loss=loss)
    first = ts.locate(tmp_path / "a.trace", target, loss=loss).first
    assert (first.direction, first.where, first.target) == ("backward", "between", "shared")
    ts.trace(source, X, tmp_path / "b.trace")
    with pytest.raises(ts.errors.ArgumentError, match="no gradients"):
        ts.locate(tmp_path / "b.trace", target, loss=loss)


def damaged(content):
    header = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + header])["__metadata__"]["ts_trace"]
    yield "cut off", content[:-5]
    yield "cut off in the header", content[: header // 2]
    yield "empty", b""
    for name, text in (
        ("another version", metadata.replace('"version": 1', '"version": 9')),
        ("no calls", json.dumps({**json.loads(metadata), "calls": []})),
        ("no facts", "{}"),
        ("no json", "[1, 2"),
        ("no slot", metadata.replace("stem:0:outputs", "stem:0:nothing")),
        ("a call of another kind", metadata.replace('"nth": 0', '"nht": 0')),
    ):
        head = json.loads(content[8 : 8 + header])
        head["__metadata__"]["ts_trace"] = text
        encoded = json.dumps(head).encode()
        encoded += b" " * (-len(encoded) % 8)
        yield name, len(encoded).to_bytes(8, "little") + encoded + content[8 + header :]


def test_damaged_and_foreign_files_are_errors(tmp_path, nets):
    file = tmp_path / "a.trace"
    ts.trace(nets[0], X, file)
    cases = dict(damaged(file.read_bytes()))
    for name, content in cases.items():
        file.write_bytes(content)
        with pytest.raises(ts.errors.CheckpointError) as caught:
            ts.locate(file, nets[1])
        assert str(file) in str(caught.value), name
    ts.save_checkpoint({"a": np.ones(3)}, tmp_path / "a.safetensors")
    with pytest.raises(ts.errors.CheckpointError, match="no trace"):
        ts.locate(tmp_path / "a.safetensors", nets[1])
    with pytest.raises(ts.errors.CheckpointNotFoundError):
        ts.locate(tmp_path / "none.trace", nets[1])


def test_a_trace_of_another_network_is_an_error(tmp_path, nets):
    ts.trace(theirs.Conv(), IMAGES, tmp_path / "a.trace")
    with pytest.raises(ts.errors.WeightMapError, match="do not belong together"):
        ts.locate(tmp_path / "a.trace", nets[1])


def test_a_trace_is_written_whole_or_not_at_all(tmp_path, nets):
    with pytest.raises(ts.errors.ArgumentError, match="no folder"):
        ts.trace(nets[0], X, tmp_path / "none" / "a.trace")
    with pytest.raises(Exception, match="mat1"):
        ts.trace(nets[0], X[..., :2], tmp_path / "a.trace")
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys
import torch
sys.path.insert(0, {root!r})
from tests.location.test_locate import X, ours, pair, theirs

torch.manual_seed(0)
source, target = pair(theirs.Mixer(), ours.Mixer(first=["eps"]))

def right():
    return source, X

def wrong():
    return target, X

def nothing():
    return source
"""


def test_the_command_line(tmp_path, capsys):
    script = tmp_path / "nets.py"
    script.write_text(SCRIPT.format(root=str(Path(__file__).parents[2])))
    trace = str(tmp_path / "a.trace")
    assert cli.main(["trace", f"{script}:right", "-o", trace], standalone_mode=False) is None
    assert "Trace of Mixer (torch)" in capsys.readouterr().out
    assert cli.main(["locate", trace, f"{script}:wrong", "--json", f"{trace}.json"], standalone_mode=False) == 1
    assert "eps" in capsys.readouterr().out
    assert json.loads(Path(f"{trace}.json").read_text())["findings"][0]["target"] == "blocks.0.norm"
    assert cli.main(["locate", trace, trace], standalone_mode=False) == 0
    with pytest.raises(Exception, match="must return"):
        cli.main(["trace", f"{script}:nothing", "-o", trace], standalone_mode=False)
