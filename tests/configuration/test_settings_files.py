"""Settings as JSON: made in one environment, read in another; and what is no such file."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError, SettingsError, SettingsNotFoundError, TsError

torch = pytest.importorskip("torch")
tn = torch.nn

SCRIPT = """
import torch

def build(eps=1e-5):
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4, eps), torch.nn.Dropout(0.1)).eval()

def other():
    return build(1e-3), torch.ones(2, 3)

number = 3
"""


def net(eps=1e-5, **more):
    return tn.Sequential(
        tn.Conv2d(3, 4, 3, padding=1),
        tn.GroupNorm(2, 4, eps),
        tn.MultiheadAttention(4, 2),
        tn.LPPool2d(float("inf"), 2),
        tn.TransformerEncoderLayer(4, 2, 8),
        *([tn.Dropout(0.1)] if more.get("drop") else []),
    ).eval()


@pytest.fixture
def files(tmp_path):
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    ts.settings(net()).to_json(one)
    ts.settings(net(1e-3, drop=True)).to_json(other)
    return one, other


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "ts_core", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_a_file_says_what_the_network_says(files):
    live = ts.compare_settings(net(), net(1e-3, drop=True))
    stored = ts.compare_settings(*files)
    assert stored.to_records() == live.to_records()
    assert str(stored) == str(live)
    assert stored.to_json() == live.to_json()
    assert [(row.source, row.target, row.setting) for row in stored.failed] == [("1", "1", "eps"), ("", "5", "kind")]
    assert ts.compare_settings(files[0], net())
    assert ts.compare_settings(ts.settings(net()), str(files[0]))
    told = json.loads(files[0].read_text("utf-8"))
    assert told["format"] == "ts-settings"
    assert {"path": "1", "kind": "group_norm", "setting": "eps", "value": 1e-5, "spelled": "eps=1e-05"} in told["rows"]


def test_parts_of_a_composite_layer_are_in_the_file(tmp_path):
    class InParts(tn.Module):
        def __init__(self):
            super().__init__()
            self.attn = tn.MultiheadAttention(4, 2, dropout=0.1)
            self.fc1, self.fc2 = tn.Linear(4, 8), tn.Linear(8, 4)
            self.ln1, self.ln2 = tn.LayerNorm(4), tn.LayerNorm(4, 1e-3)

    file = tmp_path / "whole.json"
    ts.settings(tn.TransformerEncoderLayer(4, 2, 8)).to_json(file)
    report = ts.compare_settings(file, InParts())
    assert ("norm2", "ln2", "eps") in {(row.source, row.target, row.setting) for row in report.failed}


def test_files_are_compared_without_any_framework(files):
    code = f"""
import sys
import ts_core as ts
report = ts.compare_settings({str(files[0])!r}, {str(files[1])!r})
assert len(report.failed) == 2
print([name for name in ("torch", "mindspore", "jax") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def changed(file: Path, change) -> Path:
    content = json.loads(file.read_text("utf-8"))
    change(content)
    file.write_text(json.dumps(content), "utf-8")
    return file


def test_weights_have_no_settings(tmp_path):
    torch.save(net().state_dict(), tmp_path / "a.pth")
    ts.save_checkpoint({"a": np.ones(3, np.float32)}, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        with pytest.raises(SettingsError, match=rf"{name} is no settings file.*there are no settings in weights"):
            ts.compare_settings(tmp_path / name, net())
    with pytest.raises(SettingsNotFoundError, match="there is no settings file"):
        ts.compare_settings(tmp_path / "none.json", net())
    with pytest.raises(SettingsError, match="cannot be read as settings"):
        ts.compare_settings(tmp_path, net())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(version=2), "is of version 2 of settings files, and this is ts for version 1"),
        (lambda c: c.pop("version"), "is of version None"),
        (lambda c: c.update(format="ts-map"), "does not say that its format is ts-settings"),
        (lambda c: c.pop("layers"), "damaged settings file: 'layers' is missing"),
        (lambda c: c.update(rows=3), "damaged settings file: 'rows' is no list"),
        (lambda c: c["rows"].append(3), "damaged settings file"),
        (lambda c: c["rows"][0].update(value={}), "damaged settings file"),
        (lambda c: c["rows"][0].update(path="nowhere"), "a layer that is not in it: 'nowhere'"),
        (lambda c: c["layers"][0].update(kind=3), "damaged settings file: 'kind' cannot be 3"),
        (lambda c: c["layers"].append(None), "damaged settings file"),
        (lambda c: c["parameters"][0].update(shape=[-1]), "a shape is a list of sizes"),
        (lambda c: c["parameters"][0].update(dtype="float99"), "unknown dtype"),
        (lambda c: c["parameters"][0].update(role=7), "a role is a string"),
        (lambda c: c["parameters"][0].update(layout={"transform": "evil"}), "damaged settings file"),
    ],
)
def test_a_damaged_file_is_an_error_that_says_so(files, change, words):
    with pytest.raises(SettingsError, match=words):
        ts.compare_settings(changed(files[0], change), files[1])


@pytest.mark.parametrize("text", ["{", "[]", '{"a": NaN', "[" * 100_000, '{"a":' * 100_000, "{}", '"x"', ""])
def test_what_is_no_json_of_ours_is_an_error(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match="is no settings file"):
        ts.compare_settings(file, net())


@pytest.mark.parametrize("seed", range(200))
def test_a_file_with_anything_changed_is_compared_or_refused(files, seed):
    """Whatever stands in a file, nothing but errors of ours comes out."""
    rng = np.random.default_rng(seed)

    def change(content):
        place = content
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = keys[int(rng.integers(len(keys)))]
            if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.1:
                place[key] = [None, 3, -1, "x", [], {}, True, 1e999, ["a"], {"transform": "x"}][int(rng.integers(10))]
                return
            place = place[key]

    with suppress(TsError):
        str(ts.compare_settings(changed(files[0], change), files[1]))


def test_another_network_is_an_error(tmp_path, files):
    other = tmp_path / "other.json"
    ts.settings(tn.Sequential(tn.Linear(7, 9), tn.Linear(9, 11), tn.LSTM(3, 5))).to_json(other)
    with pytest.raises(SettingsError, match=r"cannot be compared.*do not belong together"):
        ts.compare_settings(files[0], other)


def test_a_kind_that_this_version_does_not_know_is_listed(files):
    def change(content):
        for one in content["layers"]:
            one["kind"] = "hyper_norm" if one["kind"] == "group_norm" else one["kind"]
        for one in content["rows"]:
            one["kind"] = "hyper_norm" if one["kind"] == "group_norm" else one["kind"]

    report = ts.compare_settings(changed(files[0], change), files[1])
    assert [(side, one.path, one.kind) for side, one in report.unknown] == [("source", "1", "hyper_norm")]
    assert "1 (hyper_norm)" in str(report)


def test_text_of_a_file_stays_text(files, tmp_path):
    def change(content):
        for one in content["layers"]:
            one["path"] = one["path"].replace("1", "\x1b[31m1") if one["path"] == "1" else one["path"]
        for one in content["rows"]:
            one["path"] = "\x1b[31m1" if one["path"] == "1" else one["path"]
        content["rows"][0]["spelled"] = "=cmd|' /C calc'!A0"

        content["layers"].append({**content["layers"][1], "path": "\x1b[2J\nbad", "kind": None, "cls": "a.b"})

    report = ts.compare_settings(changed(files[0], change), files[1])
    assert report.to_csv()
    assert "\x1b[2J" not in "".join(str(report).splitlines()[-2:])


def test_settings_need_no_parameters():
    told = ts.settings(tn.Sequential(tn.LazyLinear(4), tn.ReLU(), tn.Dropout(0.1)))
    assert ("2", "p", 0.1) in {(row.path, row.setting, row.value) for row in told}
    assert ts.compare_settings(tn.Sequential(tn.ReLU(), tn.Dropout(0.1)), tn.Sequential(tn.ReLU(), tn.Dropout(0.1)))


def test_commands(tmp_path):
    (tmp_path / "nets.py").write_text(SCRIPT, "utf-8")
    for function, file in (("build", "a.json"), ("other", "b.json"), ("build", "c.json")):
        done = run("settings", f"nets.py:{function}", "-o", file, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert "LayerNorm" not in done.stdout
    assert "layer_norm" in done.stdout
    different = run("compare-settings", "a.json", "b.json", "--json", "r.json", "--csv", "r.csv", cwd=tmp_path)
    assert different.returncode == 1
    assert "eps" in different.stdout
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["same"] is False
    assert (tmp_path / "r.csv").read_text("utf-8").startswith("source,target,kind,setting,")
    assert run("compare-settings", "a.json", "c.json", "--quiet", cwd=tmp_path).returncode == 0
    for arguments, words in (
        (["compare-settings", "a.json", "none.json"], "there is no settings file"),
        (["compare-settings", "nets.py", "a.json"], "no settings file"),
        (["settings", "nets.py"], "SCRIPT:FUNCTION"),
        (["settings", "none.py:build"], "there is no script"),
        (["settings", "nets.py:nothing"], "has no function"),
        (["settings", "nets.py:number"], "something else"),
        (["settings", "no_such_module:build"], "there is no module"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2, arguments
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_report_cannot_be_written_into_no_folder(tmp_path):
    with pytest.raises(ArgumentError, match="there is no folder"):
        ts.settings(net()).to_json(tmp_path / "none" / "a.json")


@pytest.mark.parametrize("value", [None, True, "x", -3, [], [[1]], [[[1, 2]]], 1e308, "inf"])
def test_a_value_that_no_layer_has_is_compared_or_refused(files, value):
    def change(content):
        for one in content["rows"]:
            one["value"] = value

    with suppress(TsError):
        str(ts.compare_settings(changed(files[0], change), files[1]))
