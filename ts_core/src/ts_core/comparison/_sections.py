"""The sections of two checkpoints side by side: models, and what training keeps beside them.

With one model on either side, its names are relative to it, whatever it is called there. Everything else has its full
path, and belongs to the section of the same name; an optimizer or scheduler that is the only one on both sides, to the
other's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from ts_core.checkpoints import Checkpoint
from ts_core.comparison._pieces import Pair
from ts_core.contract.arrays import Array
from ts_core.contract.nouns import CheckpointIndex, Section, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import CheckpointError, ComparisonError

_ALONE = ("model", "optimizer", "scheduler")  # kinds that go by their kind, where there is one of them on both sides
_SHOWN = 5  # models that an error names


@dataclass(frozen=True)
class Sides:
    """What of two sources is compared.

    Attributes:
        models: the tensors of the models of either side, whose names belong together by equality or by a map.
        beside: all other tensors that both have a section for, under their full paths; None where there are none.
        pairs: of the names in `beside`.
        notes: which sections only one side has.
    """

    models: tuple[LazyTensors, LazyTensors]
    beside: tuple[LazyTensors, LazyTensors] | None = None
    pairs: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()

    def joined(self, original: LazyTensors) -> tuple[LazyTensors, LazyTensors]:
        """Both sides as they are read, the models of the first being seen as `original`."""
        if self.beside is None:
            return original, self.models[1]
        return _Beside(original, self.beside[0]), _Beside(self.models[1], self.beside[1])


def side_by_side(original: LazyTensors, target: LazyTensors, labels: tuple[str, str]) -> Sides:
    """The sections of two sources that belong together.

    Raises:
        ComparisonError: both hold models, and it is open which are to be compared.
    """
    sources = (original, target)
    found = (_sections(original), _sections(target))
    if all(len(sections) == 1 and sections[0].kind == "model" for sections in found):
        return Sides(sources)
    # A source without sections has the names of its tensors all the same, once somebody needs them.
    found = (_filled(found[0], original), _filled(found[1], target))
    together = list(_partners(*found))
    paired = [{id(pair[side]) for pair in together} for side in (0, 1)]
    models = [(a, b) for a, b in together if a.kind == "model"]
    counts = [[section for section in sections if section.kind == "model"] for sections in found]
    if not models and all(counts):
        raise _open_choice(labels, counts[0], counts[1])
    notes = tuple(
        f"Only {label} has the {_words(section)}, which was not compared ({len(section.tensors)} tensors)."
        for label, sections, known in zip(labels, found, paired, strict=True)
        for section in sections
        if id(section) not in known and section.tensors
    )
    wholes = [source.whole() if _is_sectioned(source) else source for source in sources]
    pairs = [pair for a, b in together if a.kind != "model" for pair in _pairs(a, b)]
    taken = {name for pair in pairs for name in (pair.original, pair.target)}
    alone = all(len(each) == 1 for each in counts)
    relative = alone and not any(name in taken for pair in models for section in pair for name in section.tensors)
    chosen = []
    for number, whole in enumerate(wholes):
        own = [pair[number] for pair in models]
        names = {name if relative else _full(s, name): _full(s, name) for s in own for name in s.tensors}
        chosen.append(_Part(whole, names))
    beside = []
    for whole, side in zip(wholes, ("original", "target"), strict=True):
        names = {name: name for pair in pairs if (name := getattr(pair, side)) is not None}
        beside.append(_Part(whole, names))
    return Sides((chosen[0], chosen[1]), (beside[0], beside[1]) if pairs else None, tuple(pairs), notes)


def _sections(source: LazyTensors) -> tuple[Section, ...]:
    """What a source holds; of a part that was chosen with ``key=``, that part alone."""
    if _is_sectioned(source):
        return source.index.sections
    return (Section("", "model", ()),)


def _is_sectioned(source: LazyTensors) -> TypeGuard[Checkpoint]:
    return isinstance(source, Checkpoint) and source.sectioned


def _filled(sections: tuple[Section, ...], source: LazyTensors) -> tuple[Section, ...]:
    if _is_sectioned(source):
        return sections
    return (Section("", "model", tuple(source)),)


def _partners(first: Sequence[Section], second: Sequence[Section]) -> Iterator[tuple[Section, Section]]:
    named: dict[tuple[str, str], list[Section]] = {}
    for other in reversed(second):  # keys such as 0 and "0" have one name: then the order tells
        named.setdefault((other.kind, other.name), []).append(other)
    counts = [Counter(section.kind for section in side) for side in (first, second)]
    for section in first:
        if same := named.get((section.kind, section.name)):
            yield section, same.pop()
        elif section.kind in _ALONE and all(count[section.kind] == 1 for count in counts):
            yield section, next(other for other in second if other.kind == section.kind)


def _pairs(first: Section, second: Section) -> Iterator[Pair]:
    names = set(second.tensors)
    for name in first.tensors:
        yield Pair(_full(first, name), _full(second, name) if name in names else None)
    names = set(first.tensors)
    yield from (Pair(None, _full(second, name)) for name in second.tensors if name not in names)


def _full(section: Section, name: str) -> str:
    return f"{section.name}.{name}" if section.name else name


def _words(section: Section) -> str:
    what = {"other": "other tensors"}.get(section.kind, section.kind)
    return f"{what} {section.name!r}" if section.name else f"{what} ({', '.join(section.tensors[:_SHOWN])})"


def _open_choice(labels: tuple[str, str], first: Sequence[Section], second: Sequence[Section]) -> ComparisonError:
    listed = []
    for label, side in zip(labels, (first, second), strict=True):
        names = ", ".join(repr(section.name) if section.name else "at the top" for section in side[:_SHOWN])
        listed.append(f"{label} holds the model {names}")
    name = next((section.name for section in (*first, *second) if section.name), "")
    return ComparisonError(
        f"{'; '.join(listed)}: none is called the same on both sides. Say which to compare: "
        f"source_options={{'key': {name!r}}}, target_options= (on the command line --key a:{name}, --key b:...)"
    )


class _Part(LazyTensors):
    """Some of the tensors of a source, under other names."""

    def __init__(self, source: LazyTensors, names: Mapping[str, str]) -> None:
        self._source, self._names = source, names

    @property
    def index(self) -> CheckpointIndex:
        """What has a dense array."""
        index = self._source.index
        return CheckpointIndex({name: index[own] for name, own in self._names.items() if own in index})

    def info(self, name: str) -> TensorInfo:
        """Shape and dtype of one. Raises CheckpointError for what has no dense array."""
        self._require_dense(name)
        return self._source.info(self._names[name])

    def read(self, name: str) -> Array:
        """One of them. Raises CheckpointError for what has no dense array."""
        self._require_dense(name)
        return self._source.read(self._names[name])

    def runs(self, name: str) -> Sequence[Array]:
        """One of them, in slices."""
        self._require_dense(name)
        return self._source.runs(self._names[name])

    def _require_dense(self, name: str) -> None:
        reason = self._source.index.unreadable.get(self._names[name])
        if reason is not None:
            raise CheckpointError(f"{name}: it has no dense array: {reason}")

    @property
    def travels(self) -> bool:
        """As the source does."""
        return self._source.travels

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Beside(LazyTensors):
    """Two sources as one; no name is in both."""

    def __init__(self, first: LazyTensors, second: LazyTensors) -> None:
        self._first, self._second = first, second

    @property
    def index(self) -> CheckpointIndex:
        """What is in either."""
        return CheckpointIndex({**self._first.index.tensors, **self._second.index.tensors})

    def _of(self, name: str) -> LazyTensors:
        return self._second if name in self._second else self._first

    def info(self, name: str) -> TensorInfo:
        """Shape and dtype of one."""
        return self._of(name).info(name)

    def nbytes(self, name: str) -> int:
        """The size of one."""
        return self._of(name).nbytes(name)

    def read(self, name: str) -> Array:
        """One of them."""
        return self._of(name).read(name)

    def runs(self, name: str) -> Sequence[Array]:
        """One of them, in slices."""
        return self._of(name).runs(name)

    @property
    def travels(self) -> bool:
        """If both do."""
        return self._first.travels and self._second.travels
