"""``ts compare`` as a process: exit codes as those of ``diff``, files, and what is printed where."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts


def run(*arguments, **environment):
    command = [sys.executable, "-m", "ts_core", "compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    tensors = {f"layers.{i}.weight": np.full((3, 2), i, "f4") for i in range(4)}
    ts.save_checkpoint(tensors, folder / "a.npz")
    ts.save_checkpoint(tensors, folder / "same.safetensors")
    changed = tensors | {
        "layers.2.weight": np.full((3, 2), 2.5, "f4"),
        "layers.1.weight": np.full((3, 2), np.nan, "f4"),
    }
    ts.save_checkpoint(changed, folder / "different.npz")
    ts.save_checkpoint({"alien": np.ones(2, "f4")}, folder / "alien.npz")
    return folder


def test_equal_is_0(files):
    done = run(files / "a.npz", files / "same.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "4 of 4 close"
    assert "layers.3.weight" in done.stdout


def test_there_is_no_empty_table_when_nothing_differs(files):
    done = run(files / "a.npz", files / "same.safetensors", "--only-different")
    assert (done.returncode, done.stdout) == (0, "4 of 4 close\n")


def test_names_that_do_not_meet_get_the_way_to_a_map(files):
    assert "ts map A --like B -o map.json" in run(files / "a.npz", files / "alien.npz").stderr


def test_different_is_1(files):
    done = run(files / "a.npz", files / "different.npz", "--only-different")
    assert (done.returncode, done.stderr) == (1, "")
    assert "layers.2.weight" in done.stdout
    assert "layers.0.weight" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 of 4 close; worst layers.1.weight")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("second", "complaint"),
    [("missing.npz", "missing.npz"), ("alien.npz", "no tensor of"), ("", "no format|holds|neither|folder")],
)
def test_trouble_is_2_and_one_line(files, second, complaint):
    done = run(files / "a.npz", files / second)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("ts: ")
    assert len(done.stderr.splitlines()) == 1
    if second:
        assert complaint in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rtol", "-1"],
        ["--atol", "nan"],
        ["--workers", "0"],
        ["--worst", "-1"],
        ["--map", "missing.json"],
        ["--json", "nowhere/report.json"],
        ["--csv", "nowhere/report.csv"],
        ["--tolerance", "*.bias"],
        ["--tolerance", "*.bias=-1,0"],
    ],
)
def test_wrong_options_are_trouble(files, arguments):
    done = run(files / "a.npz", files / "same.safetensors", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_tolerances_are_options(files):
    pair = files / "a.npz", files / "different.npz"
    assert run(*pair, "--tolerance", "*.2.*=0,0.6", "--tolerance", "*.1.*=0,inf").returncode == 1  # NaN stays
    assert run(*pair, "--atol", "0.6", "--only-different").stdout.count("layers.") == 2  # in the table and the summary


def test_json_and_csv(files, tmp_path):
    done = run(
        files / "a.npz", files / "different.npz", "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv", "--quiet"
    )
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1

    def refuse(literal):
        raise AssertionError(literal)

    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert report["equal"] is False
    assert report["summary"] == done.stdout.strip()
    assert [row["close"] for row in report["rows"]] == [6, 0, 0, 6]
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["close", "different", "different", "close"]


def test_worst_and_wide(files):
    done = run(files / "a.npz", files / "different.npz", "--worst", "1", "--wide")
    assert "layers.1.weight" in done.stdout
    assert "layers.2.weight" not in done.stdout
    assert "RMSE" in done.stdout


def test_a_map_is_followed(tmp_path):
    ts.save_checkpoint({"bn.weight": np.ones(2, "f4")}, tmp_path / "a.npz")
    ts.save_checkpoint({"bn.gamma": np.ones(2, "f4")}, tmp_path / "b.npz")
    (tmp_path / "map.json").write_text('[{"bn.weight": "bn.gamma"}, {}]', encoding="utf-8")
    done = run(tmp_path / "a.npz", tmp_path / "b.npz", "--map", tmp_path / "map.json")
    assert done.returncode == 0, done.stderr
    assert "bn.gamma" in done.stdout


def test_folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.ones(3))
    assert run(tmp_path / "a", tmp_path / "b").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")
@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals(files, environment, coloured):
    import pty

    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ts_core", "compare", files / "a.npz", files / "different.npz"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=inherited | environment,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.wait() == 1
    assert (b"\x1b[31m" in shown) is coloured


def test_no_framework_is_imported(files):
    code = (
        "import sys; from ts_core.cli import cli; "
        f"cli.main(['compare', {str(files / 'a.npz')!r}, {str(files / 'same.safetensors')!r}], standalone_mode=False); "
        "assert not {'torch', 'mindspore', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
