"""What a command gets from a function of the user's: ``SCRIPT:FUNCTION``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import click


def called(spelled: str) -> object:
    """What a function without arguments returns, of a file ``nets.py:build`` or a module ``package.nets:build``.

    Raises:
        click.UsageError: there is no such file, module or function, or it cannot be called so.
    """
    place, _, name = spelled.rpartition(":")
    if not place or not name.isidentifier():
        raise click.UsageError(f"{spelled!r} is not of the form SCRIPT:FUNCTION, such as nets.py:build")
    module = _of_file(Path(place)) if place.endswith(".py") else _of_name(place)
    function = getattr(module, name, None)
    if not callable(function):
        what = "has no function" if function is None else "has something else than a function that is"
        raise click.UsageError(f"{place} {what} called {name}")
    return function()


def _of_file(path: Path) -> object:
    if not path.is_file():
        raise click.UsageError(f"there is no script {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None  # it ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # as python does for a script
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _of_name(name: str) -> object:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is not None and name.startswith(problem.name):
            raise click.UsageError(f"there is no module {name}; a script is a file that ends with .py") from problem
        raise
