"""Weight maps: which tensors of a source become which tensors of a target, and by which change of layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ts_core.checkpoints.protocols import LazyTensors
from ts_core.errors import WeightMapError
from ts_core.mapping.transforms import Transform
from ts_core.model import CheckpointIndex, TensorInfo

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One step of a weight map: these source tensors become those target tensors.

    Attributes:
        source: names in the source; several when they are fused.
        target: names in the target; several when one is split.
        transform: the change of layout, ``None`` when the arrays stay as they are.
        how: how the entry was found: ``"rule"``, ``"equal name"``, ``"alignment"``, ``"order"``, ``"user"``.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    transform: Transform | None = None
    how: str = "user"


@dataclass(frozen=True)
class WeightMap:
    """The entries of a map, in the order of the source.

    Attributes:
        entries: which source tensors become which target tensors.
    """

    entries: tuple[MapEntry, ...]

    def __iter__(self) -> Iterator[MapEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def apply(self, source: LazyTensors) -> MappedTensors:
        """The source under the names and layouts of the target; tensors are read and changed when asked for.

        Raises:
            WeightMapError: the map names tensors that the source lacks, or a transform does not fit a shape.
        """
        return MappedTensors(source, self.entries)


class MappedTensors(LazyTensors):
    """A source seen through a weight map."""

    def __init__(self, source: LazyTensors, entries: Iterable[MapEntry]) -> None:
        self._source = source
        self._where: dict[str, tuple[MapEntry, int]] = {}
        infos: dict[str, TensorInfo] = {}
        for entry in entries:
            for position, info in enumerate(_target_infos(entry, source.index)):
                if info.name in infos:
                    raise WeightMapError(f"two entries of the weight map lead to {info.name!r}")
                infos[info.name] = info
                self._where[info.name] = (entry, position)
        self._index = CheckpointIndex(infos, source.index.metadata)

    @property
    def index(self) -> CheckpointIndex:
        """The target's names, shapes and dtypes."""
        return self._index

    def read(self, name: str) -> Array:
        """One tensor under its target name, in the target's layout."""
        entry, position = self._where[name]
        arrays = tuple(self._source.read(source) for source in entry.source)
        return (entry.transform.apply(*arrays) if entry.transform else arrays)[position]

    def entry(self, name: str) -> MapEntry:
        """The entry of the map that a target name comes from."""
        return self._where[name][0]

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def _target_infos(entry: MapEntry, index: CheckpointIndex) -> Iterator[TensorInfo]:
    missing = [name for name in entry.source if name not in index]
    if missing:
        raise WeightMapError(f"the weight map names tensors that the source lacks: {', '.join(missing)}")
    sources = [index[name] for name in entry.source]
    shapes = tuple(info.shape for info in sources)
    try:
        shapes = entry.transform.shapes(*shapes) if entry.transform else shapes
    except WeightMapError as problem:
        raise WeightMapError(f"{', '.join(entry.source)}: {problem}") from problem
    dtype = sources[0].dtype
    for name, shape in zip(entry.target, shapes, strict=True):
        count = 1
        for size in shape:
            count *= size
        yield TensorInfo(name, shape, dtype, count * dtype.itemsize)
