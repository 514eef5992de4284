"""The example across environments: weights from torch run in JAX and in MindSpore, and come back bit for bit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "across_environments"
OTHER = ROOT / ".venv" / "bin" / "python"  # with torch and MindSpore


def run(python: str | Path, *command: str | Path) -> str:
    done = subprocess.run([python, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not OTHER.exists():
        pytest.skip("there is no environment with torch: make test creates it")
    work = tmp_path_factory.mktemp("work")
    run(OTHER, EXAMPLE / "train_in_torch.py", work)
    for name in ("cnn", "encoder"):
        run(OTHER, "-m", "ts_core", "convert", work / f"{name}.pth", work / f"{name}.safetensors")
    return work


def test_into_jax_and_back_to_torch(folder):
    assert run(sys.executable, EXAMPLE / "run_in_jax.py", folder).count("largest output difference") == 2
    assert run(OTHER, EXAMPLE / "check_in_torch.py", folder).count("none changed") == 2


def test_into_mindspore(folder):
    assert run(OTHER, EXAMPLE / "run_in_mindspore.py", folder).count("largest output difference") == 2
