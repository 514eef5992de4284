"""The public names: all there, documented, and what they are called whatever was imported before."""

import inspect
import subprocess
import sys

import pytest

import ts_core as ts


@pytest.mark.parametrize("name", [name for name in ts.__all__ if not name.startswith("_")])
def test_every_public_name_is_there_and_documented(name):
    member = getattr(ts, name)
    assert inspect.getdoc(member)
    assert name in dir(ts)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'convertt'"):
        _ = ts.convertt


def test_a_verb_is_never_hidden_by_a_module_of_its_name():
    """Importing every module of the package, before or after, leaves functions functions."""
    script = """
import importlib, inspect, pkgutil, sys, ts_core as ts
found = [module.name for module in pkgutil.walk_packages(ts.__path__, "ts_core.")]
modules = [name for name in found if not name.startswith(("ts_core.__main__", "ts_core.testing"))]
def check():
    wrong = [n for n in ts.__all__ if n not in ("errors", "migrator", "widget") and inspect.ismodule(getattr(ts, n))]
    assert not wrong, wrong
if sys.argv[1] == "before":
    check()
for module in modules:
    importlib.import_module(module)
check()
"""
    for order in ("before", "after"):
        subprocess.run([sys.executable, "-c", script, order], check=True)
