"""Builds environments that differ from the one the tests run in, from its own packages where those are large."""

import functools
import os
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ("ts_core", "ts_torch", "ts_mindspore")


class Environment:
    """A virtual environment in a folder, without pip; the outer pip installs into it."""

    def __init__(self, folder: Path, python: str | None = None) -> None:
        self.python = folder / "bin" / "python"
        if python is None:
            venv.create(folder, with_pip=False)
        else:
            subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        self.site = next(folder.glob("lib/python*/site-packages"))

    def borrow(self, *names: str) -> "Environment":
        """Make distributions of the outer environment, and all they require, importable here."""
        for name in closure(names):
            for top in {Path(file).parts[0] for file in distribution(name).files or () if ".." not in Path(file).parts}:
                source, link = Path(distribution(name).locate_file(top)), self.site / top
                if source.exists() and not link.exists():
                    link.symlink_to(source)
        return self

    def install(self, *arguments: str | Path) -> "Environment":
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *arguments], check=True, env=clean_environment())
        return self

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a Python program here: arguments as for the interpreter."""
        done = subprocess.run(
            [self.python, *command], capture_output=True, text=True, check=False, env=clean_environment(), cwd=self.site
        )
        assert done.returncode == 0 or not check, f"{done.stdout}\n{done.stderr}"
        return done


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"GLOG_v": "3"}


@functools.cache
def requirements(name: str) -> tuple[str, ...]:
    try:
        needed = [Requirement(line) for line in distribution(name).requires or ()]
    except PackageNotFoundError:  # an optional requirement for another platform, say
        return ()
    return tuple(r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""}))


def closure(names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name not in found:
            try:
                distribution(name)
            except PackageNotFoundError:
                continue
            found.add(name)
            open_names += requirements(name)
    return found


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    """A folder with the wheels of the three packages, each built from its source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    for package in PACKAGES:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT / package]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def environment(tmp_path):
    """``environment(python=None)``: a new, empty virtual environment."""
    return lambda python=None: Environment(tmp_path / "environment", python)
