"""Plug-ins that do harm, really installed beside a good one: each is reported, none takes the others down."""

import json
import subprocess
import sys
import textwrap

import pytest

GOOD = """
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.recognition import is_instance
    from ts_core.contract.framework_info import FrameworkInfo

    class Tensor:
        data = 1.5

    @hookimpl
    def framework_info():
        return FrameworkInfo(name="{name}", distribution="numpy", classes=("{claims}.Tensor",))

    @hookimpl
    def tensor_to_numpy(tensor):
        import numpy
        return numpy.array(tensor.data) if is_instance(tensor, "{claims}.Tensor") else None
"""


def source(name: str, claims: str | None = None) -> str:
    return GOOD.format(name=name, claims=claims or name)


PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "1.2"
[project.entry-points.ts_core]
{name} = "{name}"
[tool.hatch.build.targets.wheel]
include = ["{name}.py"]
"""

PROBE = """
import json, warnings
import ts_core as ts
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    infos = {info.name: [info.plugin, info.problem, list(info.conflicts)] for info in ts.plugins()}
import good
print(json.dumps({
    "infos": infos,
    "warnings": [str(warning.message) for warning in caught if warning.category is ts.errors.PluginWarning],
    "value": float(ts.to_numpy(good.Tensor())),
}))
"""


@pytest.fixture
def installed(tmp_path, environment):
    """``installed(name=source, …)``: an environment with the core and these plug-ins, installed from their source."""
    pytest.importorskip("hatchling", reason="the development tools are not installed")

    def build(**plugins: str):
        env = environment().borrow("numpy", "pluggy", "prettytable", "click", "hatchling")
        folders = []
        for name, code in plugins.items():
            folder = tmp_path / "sources" / name
            folder.mkdir(parents=True)
            (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name))
            (folder / f"{name}.py").write_text(textwrap.dedent(code))
            folders.append(folder)
        (env.site / "core.pth").write_text(core_path())
        return env.install("--no-deps", "--no-build-isolation", *folders)

    return build


def core_path() -> str:
    """Where this very core is imported from."""
    script = "import pathlib, ts_core; print(pathlib.Path(ts_core.__file__).parents[1])"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def probe(env) -> dict:
    return json.loads(env.run("-c", PROBE).stdout)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('the licence has expired')", "RuntimeError: the licence has expired"),
        (source("bad").replace("tensor_to_numpy(tensor)", "tensor_to_numpy(thing)"), "Argument(s) {'thing'}"),
        (source("bad").replace("def tensor_to_numpy(", "def tensor_to_nunpy("), "unknown hook 'tensor_to_nunpy'"),
        (
            source("bad").replace('name="bad"', 'name="bad", contract=99'),
            "written for version 99 of the plug-in contract, this ts-core has version",
        ),
        (
            source("bad").replace('name="bad"', 'name="bad", contract=99').replace("def tensor_to_numpy(", "def new("),
            "written for version 99 of the plug-in contract, this ts-core has version",
        ),
    ],
    ids=["raises at import", "wrong signature", "unknown hook", "newer contract", "newer contract, unknown hook"],
)
def test_a_broken_plugin_is_reported_with_its_reason(installed, code, reason):
    env = installed(bad=code, good=source("good"))
    found = probe(env)
    assert found["value"] == 1.5
    assert found["infos"]["good"] == ["good 1.2", None, []]
    plugin, problem, _ = found["infos"]["bad"]
    assert plugin == "bad 1.2"
    assert reason in problem
    (warning,) = found["warnings"]
    assert warning.startswith("the plug-in 'bad' (bad 1.2) is ignored: ")
    assert reason in warning
    listed = env.run("-m", "ts_core", "plugins", "-v")
    assert reason in listed.stdout
    assert "bad" not in listed.stdout[listed.stdout.index("answered by") :]


def test_two_plugins_that_claim_one_type_are_both_named_and_the_first_answers(installed):
    env = installed(good=source("good"), other=source("other", claims="good").replace("1.5", "2.5"))
    found = probe(env)
    assert found["value"] == 1.5
    assert found["infos"]["other"] == ["other 1.2", None, ["good.Tensor is already claimed by good 1.2"]]
    assert found["warnings"] == ["other 1.2: good.Tensor is already claimed by good 1.2"]
    assert "good.Tensor is already claimed by good 1.2" in env.run("-m", "ts_core", "plugins").stdout


def test_verbose_shows_who_answers_each_hook(installed):
    listed = installed(good=source("good"), other=source("other")).run("-m", "ts_core", "plugins", "--verbose").stdout
    rows = dict(line.strip("| ").split("|") for line in listed.splitlines() if line.count("|") == 3)
    answers = {hook.strip(): names.strip() for hook, names in rows.items()}
    assert answers["tensor_to_numpy"] == "good, other"
    assert answers["iter_parameters"] == "-"
