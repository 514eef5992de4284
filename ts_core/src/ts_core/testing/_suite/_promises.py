"""How a broken promise is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pytest

Array = np.ndarray[Any, np.dtype[Any]]
Answer = TypeVar("Answer")


def promise(kept: bool, promise: str, detail: str | None = "") -> None:
    """Fail the test with the promise that was broken."""
    if not kept:
        pytest.fail(f"broken promise: {promise}" + (f"\n  {detail}" if detail else ""), pytrace=False)


def kept(text: str, function: Callable[[], Answer]) -> Answer:
    """What the function answers; an exception breaks the promise."""
    try:
        return function()
    except Exception as problem:
        reason = f"{type(problem).__name__}: {problem}"
    return pytest.fail(f"broken promise: {text}\n  {reason}", pytrace=False)


def same(actual: object, expected: Array, text: str) -> None:
    """Both arrays have the same dtype, shape and bits."""
    promise(isinstance(actual, np.ndarray), text, f"{type(actual).__name__} is no array")
    assert isinstance(actual, np.ndarray)
    promise(actual.dtype == expected.dtype, text, f"dtype {actual.dtype} instead of {expected.dtype}")
    promise(actual.shape == expected.shape, text, f"shape {actual.shape} instead of {expected.shape}")
    promise(actual.tobytes() == expected.tobytes(), text, f"{actual.ravel()[:6]} instead of {expected.ravel()[:6]}")


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
        promise(False, text, f"{type(problem).__name__}: {problem}")
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


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
