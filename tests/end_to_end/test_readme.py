"""The code of the README runs as it stands, in order; the Chinese README shows the same code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def code(page: str, language: str = "") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_tour_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    for block in code("README.md", "python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert len(list(tmp_path.glob("out/*.npy"))) == 3


def test_the_chinese_readme_shows_the_same_code():
    assert code("README.zh-CN.md") == code("README.md")
    assert len(code("README.md", "python")) >= 5


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"])
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing
