"""Discovery, dispatch and reporting of plug-ins, with modules written for the occasion."""

import importlib.metadata
import sys
import textwrap

import numpy as np
import pytest

from ts_core.errors import PluginWarning
from ts_core.frameworks._registry import GROUP, PluginRegistry, check_import

GOOD = """
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.recognition import is_instance
    from ts_core.contract.nouns import FrameworkInfo
    from ts_core.contract.formats import Format
    asked = []

    @hookimpl
    def framework_info():
        return FrameworkInfo(name="{name}", distribution="numpy", classes=("{name}.Tensor",), formats={formats})

    @hookimpl
    def tensor_to_numpy(tensor):
        asked.append(type(tensor))
        if not is_instance(tensor, "{name}.Tensor"):
            return None
        return tensor.data
"""


FORMATS = "(Format('x', ('{}',), bool, print),)"


@pytest.fixture
def registry_of(tmp_path, monkeypatch):
    """Builds a registry from the sources of plug-in modules: ``registry_of(first="…", second="…")``."""
    monkeypatch.syspath_prepend(tmp_path)

    def build(**sources: str) -> PluginRegistry:
        entries = []
        for name, source in sources.items():
            (tmp_path / f"plugin_{name}.py").write_text(textwrap.dedent(source))
            entries.append(importlib.metadata.EntryPoint(name, f"plugin_{name}", GROUP))
        return PluginRegistry(entries)

    yield build
    for module in [module for module in sys.modules if module.startswith("plugin_")]:
        del sys.modules[module]


def good(name: str, formats: str = "()") -> str:
    return GOOD.format(name=name, formats=formats)


def tensor_of(framework: str, data: object):
    tensor = type("Tensor", (), {"__module__": framework})()
    tensor.data = data
    return tensor


def test_the_plugin_that_recognises_a_type_answers(registry_of):
    registry = registry_of(alpha=good("alpha"), beta=good("beta"))
    a, b = np.zeros(1), np.ones(1)
    for _ in range(2):
        assert registry.first("tensor_to_numpy", tensor_of("alpha", a), tensor=tensor_of("alpha", a)) is a
        assert registry.first("tensor_to_numpy", tensor_of("beta", b), tensor=tensor_of("beta", b)) is b


def test_who_answered_is_remembered_by_type(registry_of):
    registry = registry_of(alpha=good("alpha"), beta=good("beta"))
    tensor = tensor_of("beta", np.ones(1))
    for _ in range(3):
        registry.first("tensor_to_numpy", tensor, tensor=tensor)
    assert sys.modules["plugin_alpha"].asked == [type(tensor)]
    assert len(sys.modules["plugin_beta"].asked) == 3


def test_nobody_answers_for_a_stranger(registry_of):
    assert registry_of(alpha=good("alpha")).first("tensor_to_numpy", 3, tensor=3) is None


def test_an_error_of_a_plugin_is_not_taken_for_a_no(registry_of):
    registry = registry_of(alpha=good("alpha").replace("return tensor.data", "raise ValueError('lost device')"))
    with pytest.raises(ValueError, match="lost device"):
        registry.first("tensor_to_numpy", tensor_of("alpha", 0), tensor=tensor_of("alpha", 0))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        (good("broken").replace("def tensor_to_numpy(tensor)", "def tensor_to_numpy(thing)"), "thing"),
        (good("broken").replace("def tensor_to_numpy(", "def tensor_to_nump("), "tensor_to_nump"),
        ("x = 1", "framework_info"),
        (good("broken").replace("return FrameworkInfo", "return dict"), "framework_info"),
    ],
)
def test_a_broken_plugin_is_reported_and_the_others_work(registry_of, source, reason):
    with pytest.warns(PluginWarning, match="'broken'"):
        registry = registry_of(broken=source, good=good("good"))
    broken, working = registry.infos
    assert reason in broken.problem
    assert working.problem is None
    array = np.zeros(2)
    assert registry.first("tensor_to_numpy", tensor_of("good", array), tensor=tensor_of("good", array)) is array


def test_two_plugins_that_claim_the_same_are_both_named(registry_of):
    with pytest.warns(PluginWarning, match="alpha.Tensor is already claimed by plugin_first"):
        registry = registry_of(first=good("alpha", FORMATS.format(".x")), second=good("alpha", FORMATS.format(".y")))
    assert registry.infos[0].conflicts == ()
    assert any("x is already claimed" in conflict for conflict in registry.infos[1].conflicts)
    assert any("already the framework of" in conflict for conflict in registry.infos[1].conflicts)


def test_a_framework_that_is_not_installed_is_said_from_its_metadata(registry_of):
    registry = registry_of(alpha=good("alpha").replace('"numpy"', '"a-framework-nobody-has"'))
    (info,) = registry.infos
    assert info.version is None
    assert info.problem == "a-framework-nobody-has is not installed: pip install alpha"
    assert check_import(info) == info.problem


def test_check_import_shows_why_a_framework_cannot_be_imported(registry_of, tmp_path, monkeypatch):
    (tmp_path / "alpha.py").write_text("raise OSError('libalpha.so: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (info,) = registry_of(alpha=good("alpha")).infos
    assert info.problem is None
    assert check_import(info) == "OSError: libalpha.so: cannot open shared object file"
    (tmp_path / "alpha.py").write_text("")
    assert check_import(info) is None
