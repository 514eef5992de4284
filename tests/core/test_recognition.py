"""Classes are told by their public names, and nothing is imported to tell them."""

import sys
import types

from ts_core.contract import is_class, is_instance


def test_a_class_is_known_by_the_package_that_defines_it():
    cls = type("Dense", (), {"__module__": "somewhere.layers._core"})
    assert is_class(cls, "somewhere.layers.Dense")
    assert is_class(cls, "somewhere.Dense")
    assert not is_class(cls, "elsewhere.Dense")
    assert not is_class(cls, "somewhere.layers.Dense2")


def test_a_class_is_known_by_the_package_that_offers_it(monkeypatch):
    class Inner:
        pass

    class Mine(Inner):
        pass

    offered = types.ModuleType("offered.layers")
    offered.Dense = Inner
    assert not is_class(Inner, "offered.layers.Dense")
    monkeypatch.setitem(sys.modules, "offered.layers", offered)
    assert is_class(Inner, "offered.layers.Dense")
    assert not is_class(Mine, "offered.layers.Dense")
    assert is_instance(Mine(), "offered.layers.Dense")
    assert not is_instance(Mine(), "offered.layers.Conv")


def test_a_module_that_makes_its_names_when_asked_is_not_asked(monkeypatch):
    class Lazy(types.ModuleType):
        def __getattr__(self, name):
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))
    assert not is_class(int, "lazy.Dense")
