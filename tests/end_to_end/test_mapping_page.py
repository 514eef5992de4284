"""The code of docs/mapping.md runs as it stands, and does what the page says."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/mapping.md", "exec"), scope)
    assert "concatenate(axis=0" in capsys.readouterr().out
    assert scope["checked"]["one.weight"] == "a.weight"
    assert float(scope["checked"].notes[-1].rpartition(" ")[2]) < 1e-5
