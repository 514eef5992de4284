"""What a transform of a weight map is: see :mod:`ts_core.contract.transforms` for those that there are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

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

    def __str__(self) -> str:
        arguments = {key: value for key, value in self.to_json().items() if key != "transform"}
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"
