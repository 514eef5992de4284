"""What may stand where a verb takes a *target*: whatever can be a source, or names with shapes and no data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentTypeError
from ts_core.sources._opening import borrowed

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


def open_target(target: object) -> AbstractContextManager[LazyTensors]:
    """Any target, as lazily read tensors or as names and shapes.

    Args:
        target: a network, the path of a checkpoint, a mapping of names to tensors, a mapping of names to shapes, or
            (name, shape) pairs.

    Raises:
        ArgumentTypeError: it is none of these.
        CheckpointError: it is a path, and the file cannot be read.
    """
    shapes = _shapes(target)
    return borrowed(target) if shapes is None else Shapes(shapes)


def _shapes(target: object) -> dict[str, tuple[int, ...]] | None:
    if isinstance(target, Mapping):
        pairs = list(target.items())
    elif isinstance(target, Iterable) and not isinstance(target, str) and not hasattr(target, "__fspath__"):
        pairs = list(target) if isinstance(target, list | tuple) else []
    else:
        return None
    if not pairs or not all(_is_named_shape(pair) for pair in pairs):
        return None
    return {name: tuple(int(size) for size in shape) for name, shape in pairs}


def _is_named_shape(pair: Any) -> bool:
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str)):
        return False
    return isinstance(pair[1], tuple | list) and all(isinstance(size, int | np.integer) for size in pair[1])


class Shapes(LazyTensors):
    """Names and shapes without data; the dtype is taken to be float32."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        dtype = np.dtype(np.float32)
        self._index = CheckpointIndex(
            {name: TensorInfo(name, shape, dtype, prod(shape) * dtype.itemsize) for name, shape in shapes.items()}
        )

    @property
    def index(self) -> CheckpointIndex:
        """Names and shapes."""
        return self._index

    def read(self, name: str) -> Array:
        """Nothing to read."""
        raise ArgumentTypeError(f"{name} is known by its shape only")
