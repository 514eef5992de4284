"""Transforms out of files: their names and arguments, each held to what the transform says of it."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from ts_core.contract.transforms import TRANSFORMS, Shape, Transform
from ts_core.errors import WeightMapError

_MOST = 1 << 63  # no size reaches it
_DEEPEST = 16  # transforms inside each other: a chain of steps for each of several arrays is two


def from_json(entry: object, depth: int = 0) -> Transform:
    """A transform from the name and arguments in a file.

    Args:
        entry: an object of JSON.
        depth: how many transforms it is inside of.

    Raises:
        WeightMapError: anything outside the vocabulary, or arguments of another kind than the transform has.
    """
    if not isinstance(entry, Mapping):
        raise WeightMapError(f"a transform is an object with its name and arguments, not {_brief(entry)}")
    if depth == _DEEPEST:
        raise WeightMapError(f"more than {_DEEPEST} transforms inside each other")
    name = entry.get("transform")
    if not isinstance(name, str) or name not in TRANSFORMS:
        raise WeightMapError(f"unknown transform {_brief(name)}; a weight map may use: {', '.join(sorted(TRANSFORMS))}")
    kind: Any = TRANSFORMS[name]
    wanted = {field.name: str(field.type) for field in fields(kind)}
    given = {key: value for key, value in entry.items() if key != "transform"}
    if given.keys() != wanted.keys():
        raise _wrong(name, f"it takes {_listed(wanted)}, not {_listed(given)}")
    read = {key: _ARGUMENTS[wanted[key]](name, key, value, depth) for key, value in given.items()}
    transform: Transform = kind(**read)
    return transform


def _wrong(name: str, reason: str) -> WeightMapError:
    return WeightMapError(f"the transform {name!r} has wrong arguments: {reason}")


def _number(name: str, key: str, value: object, depth: int) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise _wrong(name, f"{key} must be a whole number from 0 on, not {_brief(value)}")
    return value


def _numbers(name: str, key: str, value: object, depth: int) -> Shape:
    if not isinstance(value, list | tuple):
        raise _wrong(name, f"{key} must be a list of whole numbers from 0 on, not {_brief(value)}")
    return tuple(_number(name, key, part, depth) for part in value)


def _factors(name: str, key: str, value: object, depth: int) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(part) is int and abs(part) < _MOST for part in value):
        raise _wrong(name, f"{key} must be a list of whole numbers, not {_brief(value)}")
    return tuple(value)


def _step(name: str, key: str, value: object, depth: int) -> Transform:
    return from_json(value, depth + 1)


def _steps(name: str, key: str, value: object, depth: int) -> tuple[Transform, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(name, f"{key} must be a list of transforms, not {_brief(value)}")
    return tuple(from_json(part, depth + 1) for part in value)


# How an argument is read: by what the transform says of it.
_ARGUMENTS: Mapping[str, Callable[[str, str, object, int], object]] = {
    "int": _number,
    "Shape": _numbers,
    "tuple[int, ...]": _numbers,
    "Factors": _factors,
    "Transform": _step,
    "tuple[Transform, ...]": _steps,
}


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "nothing"


_brief = reprlib.repr  # of what may be large
