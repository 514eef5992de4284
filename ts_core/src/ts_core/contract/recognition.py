"""Telling a type by its name, so that no framework is imported to ask."""

from __future__ import annotations

import functools
import sys
from typing import Any


def is_instance(obj: object, *class_names: str) -> bool:
    """Whether `obj` is an instance of one of these classes, told by name so that no framework is imported.

    A name is a package and a class, ``"torch.nn.Module"``; it matches a class of that name that is defined anywhere
    inside that package, because frameworks move a class between modules from release to release; and the class that
    the package, where it is imported, has under that name, wherever it is defined (``"keras.layers.Dense"``).
    """
    return _is_subclass(type(obj), class_names)  # type: ignore[arg-type]  # mypy fears unhashable metaclasses


def is_class(cls: type, class_name: str) -> bool:
    """Whether `class_name` (``"torch.nn.Module"``) is the public name of this very class, subclasses not counted."""
    package, _, name = class_name.rpartition(".")
    defined = f"{cls.__module__}.{cls.__name__}"  # extension modules put dots into the name itself: "jaxlib._jax.Array"
    if defined.startswith(package + ".") and defined.rpartition(".")[2] == name:
        return True
    # What the module has already: to ask it for the name could make it import something.
    return getattr(sys.modules.get(package), "__dict__", {}).get(name) is cls


@functools.lru_cache(maxsize=4096)  # asked for every tensor, answered by strings: worth remembering
def _is_subclass(cls: type[Any], class_names: tuple[str, ...]) -> bool:
    return any(is_class(base, name) for base in cls.__mro__ for name in class_names)
