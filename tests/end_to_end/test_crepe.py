"""The demo: pretrained weights of CREPE from PyTorch to MindSpore, as `make demo` runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo():
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    command = [sys.executable, ROOT / "examples" / "crepe" / "demo.py"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_demo_passes(demo):
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "The move is right." in demo.stdout


def test_it_shows_what_it_did(demo):
    assert "The list of conversion result" in demo.stdout
    assert "running_mean->moving_mean" in demo.stdout
    assert "The list of comparison results for values" in demo.stdout
    assert demo.stdout.count("MindSpore hears") == 5


def test_it_fails_when_the_networks_disagree(tmp_path):
    """The verdict is not a matter of course: a MindSpore network with another epsilon does not pass."""
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    folder = tmp_path / "crepe"
    folder.mkdir()
    for path in (ROOT / "examples" / "crepe").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "mindspore_net.py":
            assert "eps=1e-3" in text
            text = text.replace("eps=1e-3", "eps=1e-2")
        (folder / path.name).write_text(text, encoding="utf-8")
    weights = ROOT / "examples" / "crepe" / "weights"
    if weights.exists():
        (folder / "weights").symlink_to(weights)
    run = subprocess.run([sys.executable, folder / "demo.py"], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "The move is NOT right." in run.stdout
