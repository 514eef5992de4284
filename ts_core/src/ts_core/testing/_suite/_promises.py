"""How a broken promise is told."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ts_core
from ts_core.contract import hooks
from ts_core.contract.formats import Format
from ts_core.errors import PluginError

Array = np.ndarray[Any, np.dtype[Any]]

HOOKS = frozenset(name for name, member in vars(hooks).items() if hasattr(member, f"{hooks.PROJECT}_spec"))


def promise(kept: bool, promise: str, detail: str | None = "") -> None:
    """Fail the test with the promise that was broken."""
    if not kept:
        text = f"broken promise: {promise}" + (f"\n  {detail}" if detail else "")
        raise pytest.fail.Exception(text, pytrace=False) from None  # what was caught before is in the detail


def kept(test: Callable[..., None]) -> Callable[..., None]:
    """A test in which an exception breaks the promise of the docstring, and says where it was raised."""

    @functools.wraps(test)
    def guarded(*arguments: Any, **named: Any) -> None:
        try:
            return test(*arguments, **named)
        except Exception as problem:
            reason = told(problem)
        return promise(False, " ".join((inspect.getdoc(test) or test.__name__).split()), reason)

    return guarded


def told(problem: Exception) -> str:
    """An exception with the hook that raised it, and the line: the innermost one that is not of the core."""
    core = str(Path(ts_core.__file__).parent)
    hook = place = ""
    cause = problem.__cause__ if isinstance(problem, PluginError) else None
    root = cause if isinstance(cause, Exception) else problem
    for frame, line in (*traceback.walk_tb(problem.__traceback__), *traceback.walk_tb(root.__traceback__)):
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        hook = frame.f_locals["hook"] if name == "asked_hook" else name if name in HOOKS else hook
        place = place if file.startswith((core, "<")) else f" ({Path(file).name}, line {line})"
    return f"{f'{hook} raised ' if hook else ''}{type(root).__name__}: {root}{place}"


def slope(loss: Callable[[Array], float], array: Array, position: tuple[int, ...], step: float) -> tuple[float, float]:
    """The derivative of a loss by one element, and by how much the rounding of float32 may put it off.

    By the five-point stencil, https://en.wikipedia.org/wiki/Five-point_stencil: right where two points see the bend of
    the loss instead of its slope.
    """
    around = {}
    for steps in (-2, -1, 1, 2):
        moved = array.copy()
        moved[position] += steps * step
        around[steps] = loss(moved)
    rounding = 8 * float(np.finfo(np.float32).eps) * max(map(abs, around.values()))
    return (8 * (around[1] - around[-1]) - (around[2] - around[-2])) / (12 * step), rounding / step


def same(actual: object, expected: Array, text: str) -> None:
    """Both arrays have the same dtype, shape and bits."""
    promise(isinstance(actual, np.ndarray), text, f"{type(actual).__name__} is no array")
    assert isinstance(actual, np.ndarray)
    promise(actual.dtype == expected.dtype, text, f"dtype {actual.dtype} instead of {expected.dtype}")
    promise(actual.shape == expected.shape, text, f"shape {actual.shape} instead of {expected.shape}")
    if actual.tobytes() != expected.tobytes():
        promise(False, text, difference(actual, expected))


def difference(actual: Array, expected: Array) -> str:
    """Where the bits of two arrays of one shape and dtype differ first, and in how many elements."""
    one, other = (np.frombuffer(each.tobytes(), f"V{each.itemsize}") for each in (actual, expected))
    differing = np.flatnonzero(one != other)
    first = tuple(int(index) for index in np.unravel_index(differing[0], actual.shape))
    return (
        f"at {list(first)}: {actual[first]} instead of {expected[first]}; "
        f"{len(differing)} of {actual.size} elements differ"
    )


def unchanged(after: Mapping[str, Array], before: Mapping[str, Array], text: str) -> None:
    for name, array in after.items():
        same(array, before[name], f"{text}: {name}")


def raises(error: type[Exception], text: str, function: Callable[..., object], *arguments: object) -> None:
    try:
        answer = function(*arguments)
    except error as problem:
        promise(bool(str(problem)), f"{text}, with a message")
        return
    except Exception as problem:
        promise(False, text, told(problem))
    promise(False, text, f"it answered {answer!r}")


def dtype_called(name: str) -> np.dtype[Any]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))


def special_values(dtype: np.dtype[Any]) -> Array:
    """Every bit pattern of a dtype of one or two bytes, the odd values of a larger one."""
    if dtype.kind == "b":
        return np.array([True, False])
    if (dtype.itemsize <= 2 and dtype.kind != "V") or dtype.itemsize == 2:
        return np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([limits.min, 0, 1, limits.max], dtype)
    odd = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-40, 3e38])
    return odd.astype(dtype)


def suffix_of(format: Format) -> str:
    return next(iter(format.suffixes), "")


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
