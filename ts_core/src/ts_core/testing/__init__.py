"""The conformance suite: every promise of the plug-in contract, as tests that a plug-in runs on itself.

Needs pytest (``pip install "ts-core[testing]"``). A plug-in's tests contain one subclass::

    class TestMine(FrameworkSuite):
        plugin = "ts_mine"
        framework = "mine"
        ...

``docs/writing-a-plugin.md`` leads through it step by step, ``docs/writing-a-format.md`` through :class:`FormatSuite`.
"""

from __future__ import annotations

from ts_core.testing._suite import FEATURES, FormatSuite, FrameworkSuite, LayerCase, NetCase, TraceCase, public_classes
from ts_core.testing._vocabulary import vocabulary
from ts_core.testing.reference import DEFINITIONS, EPSILON, WIDTH, Definition

__all__ = [
    "DEFINITIONS",
    "EPSILON",
    "FEATURES",
    "WIDTH",
    "Definition",
    "FormatSuite",
    "FrameworkSuite",
    "LayerCase",
    "NetCase",
    "TraceCase",
    "public_classes",
    "vocabulary",
]
