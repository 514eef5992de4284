"""The changes of layout that a weight map may ask for: a fixed, invertible vocabulary.

A transform takes one or more arrays to one or more arrays by moving elements, and works on shapes as well, so that a
plan can be checked before any data is read. Two do more: :class:`Combine` adds arrays, and :class:`InsertZeros` makes
one. Files name a transform by its name and arguments, never by a Python path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ts_core.contract.combining import Combine, InsertZeros, LeaveOut
from ts_core.contract.files import count_elements
from ts_core.contract.transform_arguments import brief, read_arguments
from ts_core.contract.transform_base import Shape, Transform
from ts_core.errors import WeightMapError

__all__ = [
    "TRANSFORMS",
    "Chain",
    "Combine",
    "Concatenate",
    "Each",
    "InsertAxis",
    "InsertZeros",
    "LeaveOut",
    "RemoveAxis",
    "ReorderBlocks",
    "Reshape",
    "Shape",
    "Split",
    "Transform",
    "Transpose",
    "chain",
    "from_json",
]

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

One = TypeVar("One")

_DEEPEST = 16  # transforms inside each other: a chain of steps for each of several arrays is two


def _only(transform: Transform, given: tuple[One, ...]) -> One:
    """The one array, or shape, that a transform takes."""
    if len(given) != 1:
        raise WeightMapError(f"{transform} does not take {len(given)} tensors")
    return given[0]


def _undone(order: tuple[int, ...]) -> tuple[int, ...]:
    """The order that puts back what this one reordered."""
    places = range(len(order))
    if sorted(order) != list(places):
        raise WeightMapError(f"{list(order)} is no order of {len(order)} things, counted from 0")
    return tuple(sorted(places, key=order.__getitem__))


def _possible(shape: Shape) -> Shape:
    """The shape, if arrays can have it."""
    try:
        count_elements(shape)
    except ValueError as problem:
        raise WeightMapError(str(problem)) from problem
    return shape


@dataclass(frozen=True, slots=True)
class InsertAxis(Transform):
    """Insert an axis of size 1 before position `axis`, counted in the result."""

    axis: int
    name: ClassVar[str] = "insert_axis"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array with one more axis."""
        array = _only(self, arrays)
        return (array.reshape(self.shapes(array.shape)[0]),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """One shape with one more axis."""
        shape = _only(self, shapes)
        if not 0 <= self.axis <= len(shape):
            raise WeightMapError(f"cannot insert an axis at position {self.axis} into the shape {shape}")
        return (_possible((*shape[: self.axis], 1, *shape[self.axis :])),)

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
        array = _only(self, arrays)
        return (array.reshape(self.shapes(array.shape)[0]),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """One shape with one axis less."""
        shape = _only(self, shapes)
        if not 0 <= self.axis < len(shape) or shape[self.axis] != 1:
            raise WeightMapError(f"cannot remove axis {self.axis} of the shape {shape}: its size is not 1")
        return ((*shape[: self.axis], *shape[self.axis + 1 :]),)

    def inverse(self) -> Transform:
        """Insert the axis again."""
        return InsertAxis(self.axis)


@dataclass(frozen=True, slots=True)
class Transpose(Transform):
    """Reorder the axes: axis i of the result is axis ``axes[i]`` of the array."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "transpose"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array with its axes in another order, a view."""
        array = _only(self, arrays)
        self.shapes(array.shape)
        return (array.transpose(self.axes),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """One shape with its axes in another order."""
        shape = _only(self, shapes)
        if sorted(self.axes) != list(range(len(shape))):
            raise WeightMapError(f"cannot order the axes of the shape {shape} as {list(self.axes)}")
        return (tuple(shape[axis] for axis in self.axes),)

    def inverse(self) -> Transform:
        """Put the axes back."""
        return Transpose(_undone(self.axes))


@dataclass(frozen=True, slots=True)
class Reshape(Transform):
    """Read the same elements, in the same order, as another shape. The shape before is kept for the way back."""

    before: Shape
    after: Shape
    name: ClassVar[str] = "reshape"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array of the shape `after`."""
        array = _only(self, arrays)
        return (array.reshape(self.shapes(array.shape)[0]),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shape `after`, from exactly the shape `before`."""
        shape = _only(self, shapes)
        if tuple(shape) != self.before or prod(self.before) != prod(self.after):
            raise WeightMapError(f"cannot reshape {self.before} to {self.after}: the array has the shape {shape}")
        return (_possible(self.after),)

    def inverse(self) -> Transform:
        """Back to the shape `before`."""
        return Reshape(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Split(Transform):
    """Cut one array into parts along an axis; `sizes` are the lengths of the parts there."""

    axis: int
    sizes: tuple[int, ...]
    name: ClassVar[str] = "split"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """The parts, views of the array."""
        array = _only(self, arrays)
        self.shapes(array.shape)
        before = (slice(None),) * self.axis
        stops = list(accumulate(self.sizes))
        return tuple(array[(*before, slice(stop - size, stop))] for size, stop in zip(self.sizes, stops, strict=True))

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of the parts."""
        shape = _only(self, shapes)
        if not 0 <= self.axis < len(shape) or shape[self.axis] != sum(self.sizes):
            raise WeightMapError(f"cannot split axis {self.axis} of the shape {shape} into {list(self.sizes)}")
        return tuple((*shape[: self.axis], size, *shape[self.axis + 1 :]) for size in self.sizes)

    def inverse(self) -> Transform:
        """Join the parts."""
        return Concatenate(self.axis, self.sizes)


@dataclass(frozen=True, slots=True)
class Concatenate(Transform):
    """Join several arrays along an axis; `sizes` are their lengths there, kept for the way back."""

    axis: int
    sizes: tuple[int, ...]
    name: ClassVar[str] = "concatenate"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array, a copy."""
        import numpy as np

        self.shapes(*(array.shape for array in arrays))
        return (np.concatenate(arrays, axis=self.axis),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shape of the whole."""
        if not shapes:
            raise WeightMapError(f"{self.name} takes arrays to join, not none")
        whole = (*shapes[0][: self.axis], sum(self.sizes), *shapes[0][self.axis + 1 :])
        try:
            fits = Split(self.axis, self.sizes).shapes(whole) == tuple(map(tuple, shapes))
        except WeightMapError:
            fits = False
        if not fits:
            raise WeightMapError(
                f"cannot join {', '.join(map(str, shapes))} along axis {self.axis} with the lengths {list(self.sizes)}"
            )
        return (whole,)

    def inverse(self) -> Transform:
        """Cut the whole into its parts."""
        return Split(self.axis, self.sizes)


@dataclass(frozen=True, slots=True)
class ReorderBlocks(Transform):
    """Cut an axis into equal blocks and put them into another order: block i of the result is block ``order[i]``."""

    axis: int
    order: tuple[int, ...]
    name: ClassVar[str] = "reorder_blocks"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array with its blocks in another order, a copy."""
        import numpy as np

        array = _only(self, arrays)
        self.shapes(array.shape)
        blocks = np.split(array, len(self.order), axis=self.axis)
        return (np.concatenate([blocks[position] for position in self.order], axis=self.axis),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The same shape."""
        shape = _only(self, shapes)
        if (
            not self.order
            or sorted(self.order) != list(range(len(self.order)))
            or not 0 <= self.axis < len(shape)
            or shape[self.axis] % len(self.order)
        ):
            raise WeightMapError(f"cannot order axis {self.axis} of the shape {shape} in blocks {list(self.order)}")
        return (tuple(shape),)

    def inverse(self) -> Transform:
        """Put the blocks back."""
        return ReorderBlocks(self.axis, _undone(self.order))


@dataclass(frozen=True, slots=True)
class Chain(Transform):
    """Several transforms, one after another."""

    steps: tuple[Transform, ...]
    name: ClassVar[str] = "chain"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """What the last step gives."""
        for step in self.steps:
            arrays = step.apply(*arrays)
        return arrays

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes that the last step gives."""
        for step in self.steps:
            shapes = step.shapes(*shapes)
        return shapes

    def inverse(self) -> Transform:
        """The inverse steps from the last to the first."""
        return Chain(tuple(step.inverse() for step in reversed(self.steps)))

    def to_json(self) -> dict[str, Any]:
        """The steps in order."""
        return {"transform": self.name, "steps": [step.to_json() for step in self.steps]}

    def __str__(self) -> str:
        return ", ".join(map(str, self.steps))


@dataclass(frozen=True, slots=True)
class Each(Transform):
    """The same transform, of one array to one, for each of several arrays: before they are joined, after a split."""

    step: Transform
    name: ClassVar[str] = "each"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """As many arrays, each in the new layout."""
        return tuple(self._single(self.step.apply(array)) for array in arrays)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """As many shapes, each in the new layout."""
        return tuple(self._single(self.step.shapes(shape)) for shape in shapes)

    def inverse(self) -> Transform:
        """The inverse for each."""
        return Each(self.step.inverse())

    def _single(self, results: tuple[One, ...]) -> One:
        if len(results) != 1:
            raise WeightMapError(f"{self} makes {len(results)} tensors of one; it may make one")
        return results[0]

    def to_json(self) -> dict[str, Any]:
        """The one transform."""
        return {"transform": self.name, "step": self.step.to_json()}


_VOCABULARY: tuple[type[Transform], ...] = (
    *(InsertAxis, RemoveAxis, Transpose, Reshape, Split, Concatenate, ReorderBlocks, Chain, Each),
    *(Combine, InsertZeros, LeaveOut),
)
TRANSFORMS: Mapping[str, type[Transform]] = {cls.name: cls for cls in _VOCABULARY}


def chain(*transforms: Transform | None) -> Transform | None:
    """One transform that does the given ones in turn; steps that undo each other are left out, None is no change."""
    steps: list[Transform] = []
    for transform in transforms:
        for step in transform.steps if isinstance(transform, Chain) else (transform,):
            if step is None:
                continue
            if steps and not isinstance(steps[-1], Combine) and steps[-1].inverse() == step:
                steps.pop()
            else:
                steps.append(step)
    if len(steps) > 1:
        return Chain(tuple(steps))
    return steps[0] if steps else None


def from_json(entry: object, depth: int = 0) -> Transform:
    """A transform from the name and arguments in a file; `depth` is how many transforms it is inside of.

    Raises:
        WeightMapError: anything outside the vocabulary, or arguments of another kind than the transform has.
    """
    if not isinstance(entry, Mapping):
        raise WeightMapError(f"a transform is an object with its name and arguments, not {brief(entry)}")
    if depth == _DEEPEST:
        raise WeightMapError(f"more than {_DEEPEST} transforms inside each other")
    name = entry.get("transform")
    if not isinstance(name, str) or name not in TRANSFORMS:
        known = ", ".join(sorted(TRANSFORMS))
        raise WeightMapError(f"unknown transform {brief(name)}; a weight map may use: {known}")
    kind: Any = TRANSFORMS[name]
    wanted = {field.name: str(field.type) for field in fields(kind)}
    given = {key: value for key, value in entry.items() if key != "transform"}
    transform: Transform = kind(**read_arguments(name, wanted, given, lambda inner: from_json(inner, depth + 1)))
    return transform
