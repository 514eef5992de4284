"""Discovery, dispatch and reporting of plug-ins, with modules written for the occasion."""

import importlib.metadata
import sys
import textwrap

import numpy as np
import pytest

from ts_core.errors import ArgumentError, PluginError, PluginWarning
from ts_core.frameworks import framework_of_tag, title_of
from ts_core.frameworks._registry import GROUP, PluginRegistry, check_import

GOOD = """
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.recognition import is_instance
    from ts_core.contract.framework_info import FrameworkInfo
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


def test_the_first_in_the_alphabet_answers_whatever_was_asked_before(registry_of):
    """Two that take a value of a type that nobody claims: who takes which depends on the value."""
    takes = {"alpha": [1, 2], "beta": [2, 3]}
    registry = registry_of(
        **{
            name: good(name)
            .replace(f'if not is_instance(tensor, "{name}.Tensor")', f"if tensor not in {values}")
            .replace("tensor.data", repr(name))
            for name, values in takes.items()
        }
    )
    answers = [registry.first("tensor_to_numpy", value, tensor=value) for value in (3, 2, 1, 2, 3)]
    assert answers == ["beta", "alpha", "alpha", "alpha", "beta"]


def test_the_order_is_the_alphabet_even_for_those_who_want_to_be_first(registry_of):
    eager = good("same").replace("@hookimpl\n    def tensor", "@hookimpl(tryfirst=True)\n    def tensor")
    late = good("same").replace("@hookimpl\n    def tensor", "@hookimpl(trylast=True)\n    def tensor")
    with pytest.warns(PluginWarning, match="already"):
        registry = registry_of(alpha=late, beta=eager.replace("tensor.data", "None"))
    array = np.zeros(1)
    assert registry.first("tensor_to_numpy", tensor_of("same", array), tensor=tensor_of("same", array)) is array


@pytest.mark.parametrize("mark", ["wrapper=True", "hookwrapper=True"])
def test_a_wrapper_is_refused(registry_of, mark):
    wrapping = good("alpha").replace("@hookimpl\n    def tensor", f"@hookimpl({mark})\n    def tensor")
    with pytest.warns(PluginWarning, match="tensor_to_numpy is a hook wrapper: mark it with @hookimpl alone"):
        registry = registry_of(alpha=wrapping.replace("return tensor.data", "return (yield)"))
    assert "hook wrapper" in registry.infos[0].problem
    assert registry.who_answers()["tensor_to_numpy"] == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("@hookimpl\n    def framework_info", "def framework_info"), "framework_info is not marked with @hookimpl"),
        (('name="alpha"', "name=3"), "FrameworkInfo.name is 3, not a str"),
        (('("alpha.Tensor",)', '"alpha.Tensor"'), "FrameworkInfo.classes is 'alpha.Tensor', not a tuple of str"),
        (('distribution="numpy"', 'distribution="numpy", tags="pt"'), "FrameworkInfo.tags is 'pt', not a tuple of str"),
        (('distribution="numpy"', 'distribution="numpy", shares="jax"'), "FrameworkInfo.shares is 'jax', not a tuple"),
        (("formats=()", "formats=(Format('x', ('x',), bool, print),)"), "suffixes must be a tuple such as"),
        (("formats=()", "formats=(Format('x', '.x', bool, print),)"), "suffixes must be a tuple such as"),
        (('distribution="numpy"', 'distribution="numpy", contract=1'), "version 1 of the plug-in contract"),
        (
            ("return FrameworkInfo", "1 / 0; return FrameworkInfo"),
            "'alpha' failed in framework_info: ZeroDivisionError",
        ),
    ],
)
def test_what_a_plugin_says_of_its_framework_is_checked(registry_of, change, reason):
    with pytest.warns(PluginWarning, match="'alpha'"):
        registry = registry_of(alpha=good("alpha").replace(*change))
    assert reason in registry.infos[0].problem


def test_the_whole_message_of_a_wrong_signature_is_kept(registry_of):
    with pytest.warns(PluginWarning):
        registry = registry_of(alpha=good("alpha").replace("def tensor_to_numpy(tensor)", "def tensor_to_numpy(thing)"))
    for part in ("'alpha' for hook 'tensor_to_numpy'", "tensor_to_numpy(thing)", "can not be found in the hookspec"):
        assert part in registry.infos[0].problem


RULES = """
    @hookimpl
    def layer_rules():
        {body}
"""


def test_a_table_that_fails_is_the_fault_of_its_plugin(registry_of):
    registry = registry_of(alpha=good("alpha") + RULES.format(body="return 1 / 0"))
    with pytest.raises(PluginError, match="the plug-in 'alpha' failed in layer_rules: ZeroDivisionError"):
        registry.each("layer_rules")
    ours = "from ts_core.contract.errors import ArgumentError; raise ArgumentError('why')"
    registry = registry_of(beta=good("beta") + RULES.format(body=ours))
    with pytest.raises(ArgumentError, match="why"):
        registry.each("layer_rules")


LAYERS = """
    @hookimpl
    def iter_layers(net):
        {body}
"""


@pytest.mark.parametrize("body", ["return {}['tiny']", "yield {}['tiny']"])
def test_a_walk_that_fails_is_the_fault_of_its_plugin_also_while_it_yields(registry_of, body):
    registry = registry_of(alpha=good("alpha") + LAYERS.format(body=body))
    with pytest.raises(PluginError, match="the plug-in 'alpha' failed in iter_layers: KeyError: 'tiny'"):
        registry.first("iter_layers", 1, net=1)


def test_titles_and_tags_are_the_plugins(registry_of, monkeypatch):
    stated = 'distribution="numpy", title="Alpha", tags=("al",)'
    registry = registry_of(alpha=good("alpha").replace('distribution="numpy"', stated), beta=good("beta"))
    monkeypatch.setattr("ts_core.frameworks._registry._current", registry)
    assert [title_of(name) for name in ("alpha", "beta", "gamma")] == ["Alpha", "beta", "gamma"]
    assert [framework_of_tag(tag) for tag in ("al", "pt", None)] == ["alpha", None, None]


def test_the_cure_of_a_missing_framework_is_the_plugins(registry_of):
    stated = 'distribution="a-framework-nobody-has", cure="ask Alpha for it"'
    (info,) = registry_of(alpha=good("alpha").replace('distribution="numpy"', stated)).infos
    assert info.problem == "a-framework-nobody-has is not installed: ask Alpha for it"


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


@pytest.mark.parametrize("sharing", ["first", "second"])
def test_frameworks_that_share_tensors_are_in_no_conflict(registry_of, recwarn, sharing):
    sources = {"first": good("alpha"), "second": good("beta").replace('"beta.Tensor"', '"alpha.Tensor"')}
    other = "beta" if sharing == "first" else "alpha"
    sources[sharing] = sources[sharing].replace('distribution="numpy"', f'distribution="numpy", shares=("{other}",)')
    registry = registry_of(**sources)
    assert [info.conflicts for info in registry.infos] == [(), ()]
    assert not recwarn.list
    array = np.zeros(1)
    for _ in range(2):
        assert registry.first("tensor_to_numpy", tensor_of("alpha", array), tensor=tensor_of("alpha", array)) is array


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
