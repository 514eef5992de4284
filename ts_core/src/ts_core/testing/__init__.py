"""The conformance suite: every promise of the plug-in contract, as tests that a plug-in runs on itself.

Needs pytest (``pip install "ts-core[testing]"``). A plug-in's tests contain one subclass::

    class TestMine(FrameworkSuite):
        plugin = "ts_mine"
        framework = "mine"
        ...

``docs/writing-a-plugin.md`` leads through it step by step.
"""

from __future__ import annotations

from ts_core.testing.reference import EPSILON, KINDS, WIDTH, Kind
from ts_core.testing.suite import FEATURES, FrameworkSuite, LayerCase, NetCase, public_classes

__all__ = ["EPSILON", "FEATURES", "KINDS", "WIDTH", "FrameworkSuite", "Kind", "LayerCase", "NetCase", "public_classes"]
