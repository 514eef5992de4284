"""The page on file formats: its files, put where it says, give a green suite and two formats that work."""

import re
from pathlib import Path

import pytest

pytest.importorskip("build", reason="the development tools are not installed")

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-format.md"


@pytest.fixture
def environment_of_the_page(tmp_path, environment, wheels):
    folder = tmp_path / "page"
    text = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, code in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    assert len(blocks) == text.count("```python") + text.count("```toml")
    env = environment().borrow("numpy", "pluggy", "ml_dtypes", "prettytable", "tqdm", "click", "hatchling", "pytest")
    env.install("--no-deps", "--find-links", wheels, "ts-core", "ts-torch")
    return env.install("--no-deps", "--no-build-isolation", folder / "ts_shelf"), folder


def test_the_suite_is_green_and_the_formats_work(environment_of_the_page):
    env, folder = environment_of_the_page
    suite = env.run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "ts_shelf" / "tests").stdout
    assert " passed" in suite
    assert "failed" not in suite
    env.run(folder / "place.py")
    assert "net.weights.shelf" in env.run(folder / "use.py").stdout
    assert "ts-shelf 0.1" in env.run("-m", "ts_core", "plugins", "-v").stdout


def test_the_reader_of_pickles_is_about_fifty_lines():
    (code,) = re.findall(r"^```python\n# \S+/brine.py\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(code.splitlines()) <= 55
