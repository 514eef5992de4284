"""The page on writing a plug-in: its files, put where it says, give a green suite and a plug-in that works."""

import re
from pathlib import Path

import pytest

pytest.importorskip("build", reason="the development tools are not installed")

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"


@pytest.fixture
def environment_of_the_page(tmp_path, environment, wheels):
    folder = tmp_path / "page"
    blocks = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for name, code in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    for name in ("tiny", "ts_tiny"):  # the page says that the other framework is installed like this one
        project = (folder / name / "pyproject.toml").read_text("utf-8")
        project = project.replace('packages = ["src/ts_tiny"]', 'only-include = ["src/ts_late.py"]\nsources = ["src"]')
        (folder / name.replace("tiny", "late") / "pyproject.toml").write_text(project.replace("tiny", "late"))
    assert len(blocks) == PAGE.read_text("utf-8").count("```python") + PAGE.read_text("utf-8").count("```toml")
    env = environment().borrow("numpy", "pluggy", "ml_dtypes", "prettytable", "tqdm", "click", "hatchling", "pytest")
    env.install("--no-deps", "--find-links", wheels, "ts-core", "ts-torch")
    packages = [folder / name for name in ("tiny", "ts_tiny", "late", "ts_late")]
    return env.install("--no-deps", "--no-build-isolation", *packages), folder


def test_the_suite_is_green_and_the_plugin_works(environment_of_the_page):
    env, folder = environment_of_the_page
    for plugin in ("ts_tiny", "ts_late"):
        suite = env.run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder / plugin / "tests").stdout
        assert " passed" in suite
        assert "failed" not in suite
    assert "weight" in env.run(folder / "use.py").stdout
    env.run(folder / "gru.py")
    assert "has no parameters yet" in env.run(folder / "use_late.py").stdout
    assert "ts-tiny 0.1" in env.run("-m", "ts_core", "plugins", "-v").stdout


def test_every_hook_is_in_the_table():
    from ts_core.contract import hooks as hookspecs

    hooks = {name for name, member in vars(hookspecs).items() if hasattr(member, f"{hookspecs.PROJECT}_spec")}
    table = PAGE.read_text("utf-8").partition("## The hooks")[2].partition("\n## ")[0]
    first_column = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    rows = set(re.findall(r"`(\w+)`", first_column))
    assert rows == hooks
