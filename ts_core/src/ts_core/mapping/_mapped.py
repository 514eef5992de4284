"""A source as it looks through a weight map."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import prod

from ts_core.contract.arrays import Array
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import CheckpointError, WeightMapError
from ts_core.mapping._nouns import MapEntry

Shape = tuple[int, ...]

_SHOWN = 5  # names that an error lists before it counts the rest


class MappedTensors(LazyTensors):
    """A source seen through a weight map. It pickles as the source and the entries, and travels if the source does.

    Raises:
        WeightMapError: the entries name tensors that the source lacks, or a transform does not fit a shape.
    """

    def __init__(self, source: LazyTensors, entries: Iterable[MapEntry]) -> None:
        self._source, self._entries = source, tuple(entries)
        self._where = {name: (entry, place) for entry in self._entries for place, name in enumerate(entry.target)}
        self._infos: dict[str, TensorInfo] = {}
        self._index: CheckpointIndex | None = None
        _require_names(self._entries, source)
        for entry in self._entries:
            try:
                self._learn(entry)
            except CheckpointError:  # a damaged file, which need not keep anybody from the others
                continue

    def __reduce__(self) -> tuple[type[MappedTensors], tuple[LazyTensors, tuple[MapEntry, ...]]]:
        return MappedTensors, (self._source, self._entries)

    @property
    def travels(self) -> bool:
        """As the source does."""
        return self._source.travels

    @property
    def index(self) -> CheckpointIndex:
        """The target's names, shapes and dtypes. Raises CheckpointError for a damaged file of the source."""
        if self._index is None:
            self._index = CheckpointIndex({name: self.info(name) for name in self._where}, self._source.metadata)
        return self._index

    def info(self, name: str) -> TensorInfo:
        """Shape, dtype and size of one tensor. Raises CheckpointError when its file is damaged."""
        if name not in self._infos:
            self._learn(self._where[name][0])
        return self._infos[name]

    def _learn(self, entry: MapEntry) -> None:
        sources = [self._source.info(name) for name in entry.source]
        dtype = sources[0].dtype
        for name, shape in zip(entry.target, _target_shapes(entry, [info.shape for info in sources]), strict=True):
            self._infos[name] = TensorInfo(name, shape, dtype, prod(shape) * dtype.itemsize)

    def read(self, name: str) -> Array:
        """One tensor under its target name, in the target's layout."""
        entry, position = self._where[name]
        arrays = tuple(self._source.read(source) for source in entry.source)
        return (entry.transform.apply(*arrays) if entry.transform else arrays)[position]

    def runs(self, name: str) -> Sequence[Array]:
        """The tensor as the source has it, unless its layout changes."""
        entry, position = self._where[name]
        return [self.read(name)] if entry.transform else self._source.runs(entry.source[position])

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def _require_names(entries: Iterable[MapEntry], source: Collection[str]) -> None:
    names = [name for entry in entries for name in entry.source]
    missing = [name for name in names if name not in source]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise WeightMapError(
            f"the weight map is not for this source: of the {len(names)} tensors that it names, the source lacks "
            f"{len(missing)}: {', '.join(missing[:_SHOWN])}{more}"
        )


def _target_shapes(entry: MapEntry, sources: Sequence[Shape]) -> Sequence[Shape]:
    """The shapes that an entry makes of these, one for each of its targets."""
    names = ", ".join(entry.source)
    try:
        shapes = entry.transform.shapes(*sources) if entry.transform else sources
    except WeightMapError as problem:
        raise WeightMapError(f"{names}: {problem}") from problem
    if len(shapes) != len(entry.target):
        raise WeightMapError(f"{names}: the map gives {len(shapes)} tensors for {len(entry.target)} names")
    return shapes
