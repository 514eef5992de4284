"""Names of a package that are imported when they are first asked for, so that importing the package costs little."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def exported(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: name → the module that it is in, or the module that it is.
    """
    members = vars(sys.modules[package])

    def __getattr__(name: str) -> object:  # noqa: N807 - what the package's own is to be
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        value: object = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        members[name] = value
        return value

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*members, *homes})

    return __getattr__, __dir__
