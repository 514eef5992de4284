"""The transforms that do more than move elements: one adds arrays, two let a part of a whole be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ts_core.contract.transform_base import Shape, Transform
from ts_core.errors import WeightMapError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


Factors = tuple[int, ...]  # of either sign


@dataclass(frozen=True, slots=True)
class Combine(Transform):
    """Add several arrays of one shape, each times its factor: what only their sum computes. There is no way back.

    The sum is formed in float64 and rounded to the dtype of the first array once.
    """

    factors: Factors
    name: ClassVar[str] = "combine"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """One array, the sum."""
        import numpy as np

        self.shapes(*(array.shape for array in arrays))
        wide = np.promote_types(np.float64, arrays[0].dtype) if arrays[0].dtype.kind in "fc" else np.dtype(np.float64)
        total = np.zeros(arrays[0].shape, wide)
        for factor, array in zip(self.factors, arrays, strict=True):
            total += factor * array.astype(wide)
        return (total.astype(arrays[0].dtype),)

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The one shape of all."""
        if len(shapes) != len(self.factors) or len({tuple(shape) for shape in shapes}) != 1:
            raise WeightMapError(f"cannot add {len(self.factors)} arrays of one shape: {', '.join(map(str, shapes))}")
        return (tuple(shapes[0]),)

    def inverse(self) -> Transform:
        """Raises WeightMapError: a sum does not tell what was added."""
        raise WeightMapError("a map that adds tensors has no inverse: their sum does not tell what was added")


@dataclass(frozen=True, slots=True)
class InsertZeros(Transform):
    """Among several arrays, put one of zeros at `position`: what the source's layer does not have, and need not."""

    position: int
    shape: Shape
    name: ClassVar[str] = "insert_zeros"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """The same arrays, and one of zeros among them, of the dtype of the first."""
        import numpy as np

        self.shapes(*(array.shape for array in arrays))
        return (*arrays[: self.position], np.zeros(self.shape, arrays[0].dtype), *arrays[self.position :])

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The same shapes, and one more among them."""
        if not shapes or not 0 <= self.position <= len(shapes):
            raise WeightMapError(f"cannot put zeros at position {self.position} of {len(shapes)} arrays")
        return (*shapes[: self.position], self.shape, *shapes[self.position :])

    def inverse(self) -> Transform:
        """Leave that array out."""
        return LeaveOut(self.position, self.shape)


@dataclass(frozen=True, slots=True)
class LeaveOut(Transform):
    """Of several arrays, leave out the one at `position`, which the target's layer has no place for."""

    position: int
    shape: Shape
    name: ClassVar[str] = "leave_out"

    def apply(self, *arrays: Array) -> tuple[Array, ...]:
        """The other arrays."""
        self.shapes(*(array.shape for array in arrays))
        return (*arrays[: self.position], *arrays[self.position + 1 :])

    def shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The other shapes."""
        if not 0 <= self.position < len(shapes) or tuple(shapes[self.position]) != self.shape:
            raise WeightMapError(f"cannot leave out an array of the shape {self.shape} at position {self.position}")
        return (*shapes[: self.position], *shapes[self.position + 1 :])

    def inverse(self) -> Transform:
        """Put zeros there again."""
        return InsertZeros(self.position, self.shape)
