"""The user guide's names for converting and comparing: thin forms of the verbs of :mod:`ts_core`."""

from __future__ import annotations
