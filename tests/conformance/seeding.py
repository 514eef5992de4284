"""What the tests with seeded bugs share: bugs of hooks, and the PyTorch plug-in with one of them.

A bug wraps one honest hook. The suite then runs on the altered plug-in, and the test that is named with the bug has to
fail with the promise that was broken.
"""

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule

Hook = Callable[..., Any]
SUITE = Path(__file__).with_name("test_torch.py")
RUN_SUITE = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("honest_suite", {str(SUITE)!r})
honest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(honest)

class TestAltered(honest.TestTorch):
    plugin = "altered_plugin"
"""


class Bugs(list[Any]):
    """The bugs of a file; calling it registers one: a function from the honest hook to the one with the bug."""

    def __call__(self, hook: str, caught_by: str, says: str = "") -> Callable[[Callable[[Hook], Hook]], None]:
        def register(alter: Callable[[Hook], Hook]) -> None:
            self.append(pytest.param(hook, alter, caught_by, says, id=f"{hook}-{alter.__name__}"))

        return register


def altered(name: str, hook: Hook, *, marked: bool = True) -> types.ModuleType:
    """The PyTorch plug-in with one hook replaced."""
    import ts_torch

    module = types.ModuleType("altered_plugin")
    vars(module).update({key: value for key, value in vars(ts_torch).items() if not key.startswith("__")})
    setattr(module, name, hookimpl(hook) if marked else hook)
    return module


class Reports:
    """Collects what became of each test of an inner run."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.append(report.nodeid.rpartition("::")[2])
        if report.failed:
            self.failures.append(str(report.longrepr))


def on_arrays(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Hook], Hook]:
    """A bug of `tensor_to_numpy` that changes the array of every tensor."""

    def alter(honest: Hook) -> Hook:
        def tensor_to_numpy(tensor):
            array = honest(tensor)
            return None if array is None else change(array)

        return tensor_to_numpy

    alter.__name__ = change.__name__
    return alter


def on_parameters(change: Callable[[list], list]) -> Callable[[Hook], Hook]:
    """A bug of `iter_parameters` that changes the list of parameters."""

    def alter(honest: Hook) -> Hook:
        def iter_parameters(net):
            found = honest(net)
            return None if found is None else change(list(found))

        return iter_parameters

    alter.__name__ = change.__name__
    return alter


def on_layers(change: Callable[[list], list]) -> Callable[[Hook], Hook]:
    """A bug of `iter_layers` that changes the list of layers."""

    def alter(honest: Hook) -> Hook:
        def iter_layers(net):
            found = honest(net)
            return None if found is None else change(list(found))

        return iter_layers

    alter.__name__ = change.__name__
    return alter


def on_each_parameter(change: Callable[[Any], dict[str, Any]]) -> Callable[[Hook], Hook]:
    """A bug of `iter_parameters` that says something else of a parameter."""

    def each(parameters: list) -> list:
        return [dataclasses.replace(parameter, **change(parameter)) for parameter in parameters]

    each.__name__ = change.__name__
    return on_parameters(each)


def on_each_rule(change: Callable[[LayerRule], dict[str, Any]]) -> Callable[[Hook], Hook]:
    """A bug of `layer_rules` that says something else of a layer."""

    def alter(honest: Hook) -> Hook:
        return lambda: [dataclasses.replace(rule, **change(rule)) for rule in honest()]

    alter.__name__ = change.__name__
    return alter


def swapped(rule: LayerRule, one: str, other: str) -> dict[str, Any]:
    exchange = {one: other, other: one}
    norm = "norm" in rule.kind and {one, other} <= set(rule.roles.values())
    return {"roles": {local: exchange.get(role, role) for local, role in rule.roles.items()}} if norm else {}


class EachIsCaught:
    """The tests of a file of bugs."""

    bugs: Bugs

    @pytest.mark.filterwarnings("ignore::ts_core.errors.PluginWarning")
    def test_the_suite_catches(self, hook, alter, caught_by, says, caught):
        assert says in caught(hook, alter, caught_by)

    def test_what_catches_a_bug_passes_without_it(self, suite):
        import ts_torch

        tests = {parameters.values[2] for parameters in self.bugs}
        reports = suite(altered("seed", ts_torch.seed), *tests)
        assert {test.partition("[")[0] for test in reports.passed} >= tests
        assert not reports.failures
