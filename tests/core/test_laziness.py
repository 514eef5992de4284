"""What must not be imported is not imported: each check runs in a process of its own."""

import subprocess
import sys

import pytest

FRAMEWORKS = ("torch", "mindspore", "jax")


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running the code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import ts_core",
        "import ts_core; ts_core.plugins()",
        "import ts_core; ts_core.migrator, ts_core.widget",
        "import ts_core.cli",
    ],
)
def test_the_core_imports_no_framework(code):
    assert not modules_after(code) & set(FRAMEWORKS)


@pytest.mark.parametrize("plugin", ["ts_torch", "ts_mindspore"])
def test_a_plugin_imports_no_framework(plugin):
    pytest.importorskip(f"{plugin}.layers")  # the folder of a checkout has the same name
    assert not modules_after(f"import {plugin}") & set(FRAMEWORKS)


def test_importing_the_core_is_little_more_than_importing_numpy():
    heavy = {
        "pluggy",
        "click",
        "prettytable",
        "tqdm",
        "ml_dtypes",
        "pandas",
        "matplotlib",
        "logging",
        "ts_core.frameworks",  # and with it the vocabulary, the settings and the nouns of the contract
        "ts_core.contract.nouns",
    }
    assert not modules_after("import ts_core") & heavy


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["plugins"]])
def test_the_command_line_starts_without_a_framework(arguments):
    script = (
        "import sys, ts_core.cli\n"
        f"sys.argv = ['ts', *{arguments!r}]\n"
        "try:\n    ts_core.cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"assert not set(sys.modules) & set({FRAMEWORKS!r})"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
