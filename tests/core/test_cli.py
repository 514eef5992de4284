"""The command line as a process: what it prints, where, and its exit codes."""

import subprocess
import sys

import pytest

import ts_core as ts


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ts_core", *arguments], capture_output=True, text=True, check=False)


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in ("compare", "convert", "inspect", "map", "plugins"):
        assert f"  {command} " in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2]  # no summary is cut off
    assert run("-h").stdout == done.stdout


def test_version():
    assert run("--version").stdout.strip() == f"ts, version {ts.__version__}"


@pytest.mark.parametrize("arguments", [["nonsense"], ["plugins", "--nonsense"]])
def test_a_wrong_call_is_trouble(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert "nonsense" in done.stderr
    assert not done.stdout


def test_plugins_are_listed_with_their_versions():
    pytest.importorskip("ts_torch.checkpoints")
    done = run("plugins")
    assert done.returncode == 0
    assert f"ts-torch {ts.__version__}" in done.stdout
    assert ".pth" in done.stdout


def test_a_closed_pipe_is_quiet():
    process = subprocess.Popen(
        [sys.executable, "-m", "ts_core", "plugins"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    process.stdout = None
    _, complaints = process.communicate()
    assert complaints == ""
