"""The changes of layout that a weight map may ask for: a fixed, invertible vocabulary.

A transform takes one or more arrays to one or more arrays by moving elements, never by computing with them, and works
on shapes as well, so that a plan can be checked before any data is read. Files name a transform by its name and
arguments, never by a Python path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ts_core.errors import WeightMapError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Shape = tuple[int, ...]


class Transform:
    """Base of the vocabulary; `name` is what files call it."""

    name: ClassVar[str]

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """The arrays in the new layout: views where NumPy can make them."""
        raise NotImplementedError

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes in the new layout. Raises WeightMapError when the transform does not fit them."""
        raise NotImplementedError

    def inverse(self) -> Transform:
        """The transform that undoes this one."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them."""
        return {"transform": self.name, **asdict(self)}  # type: ignore[call-overload]  # every subclass is a dataclass


@dataclass(frozen=True, slots=True)
class InsertAxis(Transform):
    """Insert an axis of size 1 before position `axis`, counted in the result."""

    axis: int
    name: ClassVar[str] = "insert_axis"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array with one more axis."""
        (array,) = arrays
        return (array.reshape(self.shapes(array.shape)[0]),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """One shape with one more axis."""
        (shape,) = shapes
        if not 0 <= self.axis <= len(shape):
            raise WeightMapError(f"cannot insert an axis at position {self.axis} into the shape {shape}")
        return ((*shape[: self.axis], 1, *shape[self.axis :]),)

    def inverse(self) -> Transform:
        """Remove the axis again."""
        return RemoveAxis(self.axis)


@dataclass(frozen=True, slots=True)
class RemoveAxis(Transform):
    """Remove the axis of size 1 at position `axis`."""

    axis: int
    name: ClassVar[str] = "remove_axis"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array with one axis less."""
        (array,) = arrays
        return (array.reshape(self.shapes(array.shape)[0]),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """One shape with one axis less."""
        (shape,) = shapes
        if not 0 <= self.axis < len(shape) or shape[self.axis] != 1:
            raise WeightMapError(f"cannot remove axis {self.axis} of the shape {shape}: its size is not 1")
        return ((*shape[: self.axis], *shape[self.axis + 1 :]),)

    def inverse(self) -> Transform:
        """Insert the axis again."""
        return InsertAxis(self.axis)


TRANSFORMS: Mapping[str, type[Transform]] = {cls.name: cls for cls in (InsertAxis, RemoveAxis)}


def from_json(entry: Mapping[str, Any]) -> Transform:
    """A transform from the name and arguments in a file. Raises WeightMapError for anything outside the vocabulary."""
    arguments = dict(entry)
    name = arguments.pop("transform", None)
    if name not in TRANSFORMS:
        raise WeightMapError(f"unknown transform {name!r}; a weight map may use: {', '.join(sorted(TRANSFORMS))}")
    try:
        return TRANSFORMS[name](**arguments)
    except TypeError as problem:
        raise WeightMapError(f"the transform {name!r} has wrong arguments {arguments}: {problem}") from problem
