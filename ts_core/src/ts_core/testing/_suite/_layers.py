"""Tests of the layer rules: kinds, roles and layouts, proved by what a layer computes."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

import numpy as np

from ts_core.contract.layers import KINDS
from ts_core.contract.nouns import LayerRule
from ts_core.contract.recognition import is_class
from ts_core.errors import PluginError
from ts_core.frameworks import settings
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._cases import LayerCase
from ts_core.testing._suite._promises import as_tuple, promise, same
from ts_core.testing.reference import DEFINITIONS, Definition

Array = np.ndarray[Any, np.dtype[Any]]


class LayerTests(Suite):
    """The table of layers says what the layers are."""

    def test_rules(self) -> None:
        """Each rule has its roles once, lays out only roles it has, and names a class of the framework."""
        made = (type(case.make()) for case in self.layers())
        listed = {base for cls in (*self.layer_classes(), *made) for base in cls.__mro__}
        for rule in self.hook("layer_rules")():
            promise(isinstance(rule, LayerRule), "layer_rules are LayerRules", f"{rule!r}")
            promise(
                _imported(rule.cls) or any(is_class(cls, rule.cls) for cls in listed),
                "a rule is for a class of the framework: cls is a package and the name of a class in it",
                f"{rule.cls!r} is the name of no class",
            )
            promise(set(rule.layout) <= {*rule.roles.values()}, "a layout is for a role that the rule has", f"{rule}")
            roles = [one for role in rule.roles.values() for one in as_tuple(role)]
            promise(len(set(roles)) == len(roles), "each role of a rule comes once", f"{rule}")
            joined = [role for role in rule.roles.values() if isinstance(role, tuple) and role not in rule.layout]
            promise(not joined, "a tuple of roles has a layout that joins them", f"{rule.cls}: {joined}")
            kind = KINDS.get(rule.kind)
            if kind is None:
                promise(False, "a rule is for a kind of KINDS in ts_core.contract.layers", f"{rule.cls}: {rule.kind!r}")
                continue
            for what, strange in (
                ("roles", [role for role in roles if not kind.knows(role)]),
                ("settings", [setting for setting in rule.settings if setting not in kind.settings]),
            ):
                promise(not strange, f"{what} of a rule are those of its kind in KINDS", f"{rule.cls}: {strange}")
            promise(rule.cls.partition(".")[0] in self.packages, "a rule is for a class of the framework", rule.cls)

    def test_every_rule_has_a_case(self) -> None:
        """`layers()` has a case for every rule, so that each one is proved, or the rule is listed in `unproved`."""
        rules = list(self.hook("layer_rules")())
        unknown = [case.kind for case in self.layers() if case.kind not in KINDS]
        promise(not unknown, "a LayerCase is of a kind of ts_core.contract.layers.KINDS", f"{unknown}")
        layers = [(case.kind, type(case.make())) for case in self.layers()]
        unproved = [
            f"{rule.cls} as {rule.kind}"
            for rule in rules
            if rule.roles  # a layer without parameters has nothing that a case could prove
            and rule.cls not in self.unproved
            and not any(
                kind == rule.kind and any(is_class(base, rule.cls) for base in cls.__mro__) for kind, cls in layers
            )
        ]
        promise(not unproved, "every rule has a LayerCase", ", ".join(unproved))

    def test_every_class_has_a_rule(self) -> None:
        """Every layer class with parameters has a rule, or is listed in `gaps` with the reason."""
        rules = [rule.cls for rule in self.hook("layer_rules")()]
        unknown = [
            f"{cls.__module__}.{cls.__qualname__}"
            for cls in self.layer_classes()
            if not any(is_class(base, name) for base in cls.__mro__ for name in (*rules, *self.gaps))
        ]
        promise(not unknown, "every layer class with parameters has a rule or is a declared gap", ", ".join(unknown))

    def test_layer(self, layer_case: LayerCase) -> None:
        """Every parameter of a layer that has a rule is known by kind and role, and what it was told can be read."""
        layer = layer_case.make()
        found = self.parameters(layer)
        promise(bool(found), f"a {layer_case.kind} layer has parameters", f"{type(layer)}")
        for parameter in found:
            promise(parameter.layer == "", "a layer that is itself the network owns its parameters", f"{parameter}")
            promise(parameter.kind == layer_case.kind, f"the layer is a {layer_case.kind}", f"{parameter}")
            known = parameter.role is not None or not parameter.persistent
            promise(known, "every parameter of the layer that is written to files has a role", f"{parameter}")
        promise(not (told := _unreadable(layer)), "every setting that a rule declares can be read from the layer", told)

    def test_layout_is_invertible(self, layer_case: LayerCase) -> None:
        """Stored layout → canonical → stored layout is the identity, for arrays and for shapes."""
        for parameter in self.parameters(layer_case.make()):
            if parameter.layout is not None:
                array = np.arange(np.prod(parameter.shape)).reshape(parameter.shape)
                canonical = parameter.layout.inverse().apply(array)
                (back,) = parameter.layout.apply(*canonical)
                same(back, array, f"the layout of {parameter.name} is invertible")
                shapes = parameter.layout.inverse().shapes(parameter.shape)
                fits = shapes == tuple(one.shape for one in canonical)
                promise(fits, f"the layout of {parameter.name} works on shapes", f"{shapes}")

    def test_layer_computes_its_kind(self, defined_case: LayerCase) -> None:
        """Filled through its roles and layouts, the layer computes what its canonical kind is defined to compute."""
        kind = DEFINITIONS[defined_case.kind]
        layer, arrays = self.filled(defined_case.make())
        roles: dict[str, Array] = {}
        for parameter in self.parameters(layer):
            if parameter.role is not None and parameter.persistent:
                array = arrays[parameter.name].astype(np.float64)
                canonical = parameter.layout.inverse().apply(array) if parameter.layout else (array,)
                roles.update(zip(as_tuple(parameter.role), canonical, strict=True))
        rng = np.random.default_rng(11)
        inputs = [
            rng.integers(0, 4, shape) if kind.integers else rng.standard_normal(shape).astype(np.float32)
            for shape in kind.inputs
        ]
        given = [x if kind.integers else x.astype(np.float64) for x in inputs]
        try:
            expected = as_tuple(kind.compute(roles, *given))
        except KeyError as role:
            promise(False, f"a {defined_case.kind} has the roles of its definition", f"{role} is not in {list(roles)}")
        computed = as_tuple(self.run(defined_case.kind, layer, *inputs))
        text = f"roles and layouts of the rule for {defined_case.kind} mean what the kind defines"
        promise(len(computed) == len(expected), text, f"{len(computed)} outputs instead of {len(expected)}")
        for ours, theirs in zip(expected, computed, strict=True):
            same_shape = ours.shape == np.shape(theirs)
            if same_shape and np.allclose(ours, theirs, rtol=1e-4, atol=1e-4):
                continue
            detail = f"shape {np.shape(theirs)} instead of {ours.shape}"
            if same_shape:
                detail = f"largest difference {np.abs(ours - theirs).max()}"
            promise(False, text, detail + self._ignored(kind, roles, given, expected))

    @staticmethod
    def _ignored(kind: Definition, roles: dict[str, Array], inputs: list[Array], expected: tuple[Array, ...]) -> str:
        """The roles that do not matter to a definition: it computes the same whatever their arrays hold."""
        ignored = []
        for role, array in roles.items():
            moved = as_tuple(kind.compute({**roles, role: array * 2 + 1}, *inputs))
            if all(np.array_equal(*pair) for pair in zip(moved, expected, strict=True)):
                ignored.append(role)
        return f"; the definition ignores {ignored}" if ignored else ""


def _unreadable(layer: object) -> str:
    """What is wrong with a setting of a layer; empty when all can be read."""
    try:
        settings(layer)
    except PluginError as problem:
        return str(problem)
    return ""


def _imported(name: str) -> bool:
    """Whether a class is imported by this name, ``"torch.nn.Linear"``."""
    package, _, last = name.rpartition(".")
    with suppress(ImportError, ValueError):
        return isinstance(getattr(importlib.import_module(package), last, None), type)
    return False
