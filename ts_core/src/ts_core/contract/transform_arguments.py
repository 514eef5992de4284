"""The arguments of a transform as a file has them, each held to what the transform says of it."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping

from ts_core.errors import WeightMapError

Read = Callable[[object], object]  # makes a transform of what describes it

_MOST = 1 << 63  # no size reaches it

brief = reprlib.repr  # of what may be large


def read_arguments(name: str, wanted: Mapping[str, str], given: Mapping[str, object], inner: Read) -> dict[str, object]:
    """What a transform is made with.

    Args:
        name: of the transform.
        wanted: the name of each argument, and its type as the transform declares it.
        given: what the file has.
        inner: reads the transforms that this one is made of.

    Raises:
        WeightMapError: an argument is missing, unknown, or of another kind.
    """
    if given.keys() != wanted.keys():
        raise _wrong(name, f"it takes {_listed(wanted)}, not {_listed(given)}")
    return {key: _KINDS[wanted[key]](name, key, value, inner) for key, value in given.items()}


def _wrong(name: str, reason: str) -> WeightMapError:
    return WeightMapError(f"the transform {name!r} has wrong arguments: {reason}")


def _number(name: str, key: str, value: object, _: Read) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise _wrong(name, f"{key} must be a whole number from 0 on, not {brief(value)}")
    return value


def _numbers(name: str, key: str, value: object, inner: Read) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(name, f"{key} must be a list of whole numbers from 0 on, not {brief(value)}")
    return tuple(_number(name, key, part, inner) for part in value)


def _factors(name: str, key: str, value: object, _: Read) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(part) is int and abs(part) < _MOST for part in value):
        raise _wrong(name, f"{key} must be a list of whole numbers, not {brief(value)}")
    return tuple(value)


def _step(name: str, key: str, value: object, inner: Read) -> object:
    return inner(value)


def _steps(name: str, key: str, value: object, inner: Read) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(name, f"{key} must be a list of transforms, not {brief(value)}")
    return tuple(map(inner, value))


# How an argument is read: by the type that the transform declares.
_KINDS: Mapping[str, Callable[[str, str, object, Read], object]] = {
    "int": _number,
    "Shape": _numbers,
    "tuple[int, ...]": _numbers,
    "Factors": _factors,
    "Transform": _step,
    "tuple[Transform, ...]": _steps,
}


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "nothing"
