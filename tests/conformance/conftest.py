"""Running the suite on a plug-in with a bug."""

import importlib.metadata
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from ts_core.frameworks._registry import GROUP, PluginRegistry

sys.path.insert(0, str(Path(__file__).parent))
from seeding import RUN_SUITE, Hook, Reports, altered


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each bug of a file is a case."""
    if "caught_by" in metafunc.fixturenames:
        metafunc.parametrize(("hook", "alter", "caught_by", "says"), metafunc.cls.bugs)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable[..., Reports]:
    """Runs tests of the suite on a plug-in module, in this process; `body` is more of the suite's class."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tmp_path / "altered_plugin.py").write_text("from ts_torch import *")  # what a new interpreter imports
    monkeypatch.syspath_prepend(tmp_path)

    def run(module: types.ModuleType, *tests: str, body: str = "") -> Reports:
        file = tmp_path / "test_altered.py"
        file.write_text(RUN_SUITE + textwrap.indent(textwrap.dedent(body), "    "))
        sys.modules.pop("test_altered", None)  # pytest would take that of the last run
        monkeypatch.setitem(sys.modules, "altered_plugin", module)
        registry = PluginRegistry([importlib.metadata.EntryPoint("torch", "altered_plugin", GROUP)])
        monkeypatch.setattr("ts_core.frameworks._registry._current", registry)
        reports = Reports()
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-p", "no:hypothesispytest"]
        chosen = " or ".join(f"{test}[ or {test} and not {test}_" for test in tests)
        pytest.main([*options, "-k", chosen, str(file)], plugins=[reports])
        return reports

    return run


@pytest.fixture
def caught(suite: Callable[..., Reports]) -> Callable[[str, Callable[[Hook], Hook], str], str]:
    """How the suite's test tells of a bug: a promise that was broken, and no traceback."""
    import ts_torch

    def run(hook: str, alter: Callable[[Hook], Hook], caught_by: str) -> str:
        (failure,) = suite(altered(hook, alter(getattr(ts_torch, hook, None))), caught_by).failures
        assert failure.startswith("broken promise: ")
        assert "Traceback" not in failure
        return failure

    return run
