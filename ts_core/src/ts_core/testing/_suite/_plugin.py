"""Tests of the plug-in itself, and of what it says to strangers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.nouns import CONTRACT_VERSION
from ts_core.contract.recognition import is_instance
from ts_core.contract.tracing import Inputs
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._cases import FEATURES
from ts_core.testing._suite._promises import promise, told

Array = np.ndarray[Any, np.dtype[Any]]


class Lookalike:
    """Not a tensor of the framework, although it can do much of what a tensor does."""

    shape, dtype = (2,), "float32"

    def numpy(self) -> Array:
        """As torch and TensorFlow have it."""
        return np.zeros(2, np.float32)

    asnumpy = detach = cpu = numpy  # as others have it

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return self.numpy()


class PluginTests(Suite):
    """The plug-in is light, registered, and answers for its own objects alone."""

    def test_import_is_light(self) -> None:
        """Importing the plug-in, and asking all that needs no framework, imports no framework."""
        script = (
            f"import sys, {self.plugin} as plugin\n"
            f"packages = {self.packages!r}\n"
            "plugin.framework_info(); getattr(plugin, 'layer_rules', list)()\n"
            "for hook in ('tensor_to_numpy', 'iter_layers', 'iter_parameters'):\n"
            "    getattr(plugin, hook, lambda _: None)(object())\n"
            "sys.exit(', '.join(package for package in packages if package in sys.modules) or 0)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = subprocess.run(  # noqa: S603 - our own interpreter and the plug-in under test
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        promise(run.returncode == 0, "importing the plug-in imports no framework", run.stderr.strip())

    def test_is_registered(self) -> None:
        """The plug-in is found through its entry point, and keeps the signatures of the contract."""
        from ts_core.frameworks import registry

        infos = {info.name: info for info in ts.plugins()}
        promise(self.framework in infos, f"an entry point of the group ts_core names {self.plugin}", str(list(infos)))
        info = infos[self.framework]
        promise(not info.problem, "the plug-in loads and its framework is installed", info.problem)
        promise(not info.conflicts, "no other plug-in claims the same", "; ".join(info.conflicts))
        for hook, answering in registry().who_answers().items():
            there = hasattr(self.module, hook)
            promise(not there or self.framework in answering, f"{hook} is marked with @hookimpl", f"{answering}")

    def test_info(self) -> None:
        """`framework_info` names the framework, and classes that its tensors and networks really have."""
        info: FrameworkInfo = self.hook("framework_info")()
        promise(info.name == self.framework, "framework_info has the framework's name", info.name)
        promise(info.contract <= CONTRACT_VERSION, "the contract it was written for exists", str(info.contract))
        tensor = self.tensor(self.numbers("float32"))
        text = "the class of tensors is in FrameworkInfo.classes, or of a framework that is named in shares"
        promise(is_instance(tensor, *self.claimed), text, f"{type(tensor)}")
        for case in self.nets() if self.claims_networks else ():
            net = case.make()
            text = "the class of networks is in FrameworkInfo.classes, or claims_networks = False"
            promise(is_instance(net, *info.classes), text, f"{type(net).__mro__}")

    def test_compilers(self) -> None:
        """`graph_function` knows its two verbs at most; `hide_from_compiler` answers a function that does the same."""
        graph_function = getattr(self.module, "graph_function", None)
        for verb in ("save", "save_grad", "no such verb") if graph_function else ():
            answer = self.hook("graph_function")(verb)
            promise(
                answer is None or callable(answer), "graph_function answers a function or None", f"{verb}: {answer!r}"
            )
            promise(answer is None or verb != "no such verb", "graph_function answers None to a verb it does not know")
        if hasattr(self.module, "hide_from_compiler"):
            hidden = self.hook("hide_from_compiler")(lambda *given, **named: (given, named))
            promise(hidden is None or callable(hidden), "hide_from_compiler answers a function or None", f"{hidden!r}")
            answer = hidden(1, two=2) if hidden else ((1,), {"two": 2})
            text = "what hide_from_compiler answers takes what the function takes, and answers what it answers"
            promise(answer == ((1,), {"two": 2}), text, f"{answer!r}")

    def test_features(self) -> None:
        """What is declared absent is a feature that the suite knows, with a reason."""
        for feature, reason in self.absent.items():
            promise(feature in FEATURES, f"absent names features of {list(FEATURES)}", feature)
            promise(bool(reason), "what is absent has a reason", feature)

    @pytest.mark.parametrize(
        "stranger",
        [object(), "text", 2.5, None, [1, 2], {"a": 1}, np.zeros(2), Lookalike()],
        ids=lambda stranger: type(stranger).__name__,
    )
    def test_strangers(self, stranger: object) -> None:
        """Every hook answers None to what is not the framework's."""
        questions: dict[str, tuple[object, ...]] = {
            "tensor_to_numpy": (stranger,),
            "iter_layers": (stranger,),
            "iter_parameters": (stranger,),
            "load_parameters": (stranger, {}),
            "extract_gradients": (stranger, None),
            "on_gradient": (stranger, lambda gradient: None),
            "trace_network": (stranger, Inputs(), None, False, None),
        }
        for hook, arguments in questions.items():
            if hasattr(self.module, hook):
                try:
                    answer = self.hook(hook)(*arguments)
                except Exception as problem:
                    answer = told(problem)
                promise(answer is None, f"{hook} answers None to a stranger", f"{stranger!r}: {answer!r}")

    def test_namesakes(self) -> None:
        """A class that is only called like one of the framework's is a stranger."""
        for claimed in self.claimed:
            namesake = type(claimed.rpartition(".")[2], (Lookalike,), {"__module__": "somewhere.else"})()
            for hook in ("tensor_to_numpy", "iter_layers", "iter_parameters"):
                promise(self.hook(hook)(namesake) is None, f"{hook} tells classes by their package", claimed)

    def test_other_frameworks(self) -> None:
        """`tensor_from_numpy` answers None when another framework is asked for."""
        answer = self.hook("tensor_from_numpy")(np.zeros(2, np.float32), f"not-{self.framework}")
        promise(answer is None, "tensor_from_numpy answers None when another framework is asked for", repr(answer))
