"""The command line as a process: what it prints, where, and its exit codes."""

import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core import cli


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ts_core", *arguments], capture_output=True, text=True, check=False)


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in ("compare", "compare-settings", "convert", "inspect", "map", "plugins", "settings"):
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


def test_a_module_in_the_folder_is_a_command(tmp_path, monkeypatch):
    """Nothing else is edited to add one."""
    (tmp_path / "greet.py").write_text(
        'import click\n@click.command(short_help="Be friendly.")\ndef command():\n    click.echo("hello")\n'
    )
    (tmp_path / "_helpers.py").write_text("raise RuntimeError('a private module is no command')")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    try:
        assert re.search(r"^  greet +Be friendly\.$", CliRunner().invoke(cli.cli, ["--help"]).output, re.MULTILINE)
        assert CliRunner().invoke(cli.cli, ["greet"]).output == "hello\n"
    finally:
        sys.modules.pop("ts_core.cli.greet", None)
        vars(cli).pop("greet", None)


def test_every_command_is_a_module_of_its_name():
    for name in cli.cli.list_commands(None):
        module = importlib.import_module(f"ts_core.cli.{name.replace('-', '_')}")
        assert module.command is cli.cli.get_command(None, name)


def test_inspect_lists_the_tensors(tmp_path):
    ts.save_checkpoint({"a.weight": np.ones((2, 3), "f4"), "b": np.ones(1000, "f8")}, tmp_path / "a.safetensors")
    done = run("inspect", str(tmp_path / "a.safetensors"))
    assert done.returncode == 0
    assert "| a.weight | (2, 3)  | float32 |    24 |" in done.stdout
    assert "safetensors: 2 tensors, 1,006 elements, 8,024 bytes" in done.stdout
    assert "section" not in done.stdout  # there is one


def test_inspect_lists_the_sections_when_there_are_several(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pth")
    done = run("inspect", str(tmp_path / "a.pth"))
    assert done.returncode == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    assert ["model", "model", "2"] in cells
    assert any(row[:2] == ["optimizer", "optimizer"] for row in cells)
