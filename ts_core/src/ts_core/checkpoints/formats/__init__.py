"""The formats that belong to no framework. Each module of this folder has one, as its ``FORMAT``."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from ts_core.contract.formats import Format

__all__ = ["core_formats"]


@functools.cache
def core_formats() -> tuple[Format, ...]:
    """The format of every module in this folder, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").FORMAT for name in names)
