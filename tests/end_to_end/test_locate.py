"""The example of a port whose outputs differ: every cause is named."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("mindspore")

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_names_every_cause_and_the_page_shows_its_output():
    script = ROOT / "examples" / "locate" / "demo.py"
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    page = (ROOT / "docs" / "locating.md").read_text("utf-8")
    for line in run.stdout.splitlines():
        if "differs by" not in line:  # numbers of rounding
            assert line in page, line
