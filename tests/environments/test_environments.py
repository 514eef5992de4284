"""The packages where users meet them: as wheels, on other interpreters, with one framework or none."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("build", reason="the development tools are not installed")

ROOT = Path(__file__).parents[2]
CORE_NEEDS = ("numpy", "pluggy", "ml_dtypes", "prettytable", "tqdm", "click")
OTHER_PYTHONS = ("3.10", "3.12", "3.13")

CONVERT = """
import torch, mindspore, numpy as np, ts_core as ts
net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
torch.save(net.state_dict(), "net.pth")
weight_map = ts.migrator.get_weight_map(net)
ts.migrator.convert_weight(weight_map=weight_map, pt_file_path="net.pth", ms_file_save_path="net.ckpt")
loaded = mindspore.load_checkpoint("net.ckpt")
assert np.array_equal(loaded["0.weight"].asnumpy(), net[0].weight.detach().numpy())
assert "1.gamma" in loaded and "1.moving_mean" in loaded, list(loaded)
"""


def python_of(version: str) -> str | None:
    """An interpreter of this version that starts: on the path, or kept by pyenv."""
    candidates = [shutil.which(f"python{version}")]
    candidates += sorted(map(str, Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python")))
    for candidate in filter(None, candidates):
        probe = [
            candidate,
            "-c",
            f"import sys; raise SystemExit(sys.version_info[:2] != {tuple(map(int, version.split('.')))})",
        ]
        if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
            return candidate
    return None


def test_the_wheels_have_one_version_and_what_they_need(wheels):
    built = sorted(path.name for path in wheels.glob("*.whl"))
    assert [name.split("-")[0] for name in built] == ["ts_core", "ts_mindspore", "ts_torch"]
    assert len({name.split("-")[1] for name in built}) == 1


def test_wheels_with_extras_convert_a_net(wheels, environment):
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    env = environment().borrow("torch", "mindspore", *CORE_NEEDS)
    env.install("--find-links", wheels, "ts-core[torch,mindspore]")
    where = env.run("-c", "import ts_core; print(ts_core.__file__)").stdout
    assert where.startswith(str(env.site))
    env.run("-c", CONVERT)


@pytest.mark.parametrize("version", OTHER_PYTHONS)
def test_the_core_alone_passes_its_tests_with_numpy_2(wheels, environment, version):
    python = python_of(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    env = environment(python).install("--find-links", wheels, "ts-core", "numpy>=2", "pytest", "hypothesis")
    assert env.run("-c", "import numpy; print(numpy.__version__)").stdout.startswith("2.")
    run = env.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml", ROOT / "tests"
    )
    assert " passed" in run.stdout


def test_files_of_both_frameworks_need_neither_nor_numpy_1(wheels, environment):
    python = python_of("3.12")
    if python is None:
        pytest.skip("there is no Python 3.12 on this machine")
    env = environment(python).install(
        "--find-links", wheels, "ts-core", "ts-torch", "ts-mindspore", "numpy>=2", "pytest", "hypothesis"
    )
    settings = ["--rootdir", ROOT, "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
    run = env.run("-m", "pytest", "-q", *settings, ROOT / "tests" / "checkpoints", ROOT / "tests" / "mapping")
    assert " passed" in run.stdout


@pytest.fixture
def without_frameworks(wheels, environment):
    env = environment().borrow(*CORE_NEEDS)
    return env.install("--no-deps", "--find-links", wheels, "ts-core", "ts-torch", "ts-mindspore")


def test_without_any_framework_the_plugins_load_and_say_what_is_missing(without_frameworks):
    listed = without_frameworks.run("-m", "ts_core", "plugins").stdout
    assert 'torch is not installed: pip install "ts-core[torch]"' in listed
    assert 'mindspore is not installed: pip install "ts-core[mindspore]"' in listed
    assert "ts-torch 0." in listed


@pytest.mark.parametrize("framework", ["torch", "mindspore"])
def test_a_job_that_needs_a_missing_framework_says_so(without_frameworks, framework):
    code = f"import numpy, ts_core as ts; ts.from_numpy(numpy.zeros(2), {framework!r})"
    failed = without_frameworks.run("-c", code, check=False)
    assert failed.returncode != 0
    assert (
        f'FrameworkMissingError: {framework}: {framework} is not installed: pip install "ts-core[{framework}]"'
        in failed.stderr
    )


@pytest.mark.parametrize(
    ("framework", "other", "net"),
    [
        ("torch", "mindspore", "torch.nn.Linear(2, 3)"),
        ("mindspore", "torch", "mindspore.nn.Dense(2, 3)"),
    ],
)
def test_with_one_framework_its_jobs_work_and_the_other_is_reported(wheels, environment, framework, other, net):
    pytest.importorskip(framework)
    env = environment().borrow(framework, *CORE_NEEDS)
    env.install("--no-deps", "--find-links", wheels, "ts-core", "ts-torch", "ts-mindspore")
    env.run("-c", f"import {framework}, ts_core as ts; assert len(ts.parameters({net})) == 2")
    listed = env.run("-m", "ts_core", "plugins", "--check").stdout
    (working,) = [line for line in listed.splitlines() if line.startswith(f"| {framework} ")]
    (missing,) = [line for line in listed.splitlines() if line.startswith(f"| {other} ")]
    assert working.rstrip("| ").endswith("ok")
    assert f"{other} is not installed" in missing
