"""Weight maps: which tensors of a source become which tensors of a target, and by which change of layout."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.contract.transforms import InsertAxis, Transform, from_json
from ts_core.errors import ArgumentTypeError, CheckpointError, WeightMapError, WeightMapNotFoundError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

# The one transform of the older tool, which its files name by the path of a Python function.
OLDER_TRANSFORMS = {
    "troubleshooter.migrator.mapping_relation.weight_adapter.trans_conv1d_weight_value": InsertAxis(2),
}

_SHOWN = 5  # names that an error lists before it counts the rest
_OPEN = ""  # what a map's file leads to where nobody has decided yet
_IS_OPEN = "the map leaves its place open: put a name there, or null to leave it out on purpose"
_MAKE_ONE = "`ts map SOURCE -o FILE` and WeightMap.save write one"

CERTAIN, LIKELY, GUESS = "certain", "likely", "guess"
ERROR, LOST, HARMLESS = "error", "lost", "harmless"


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One step of a weight map: these source tensors become those target tensors.

    Attributes:
        source: names in the source; several when they are fused.
        target: names in the target; several when one is split.
        transform: the change of layout, ``None`` when the arrays stay as they are.
        how: how it was found: ``"rule"``, ``"equal name"``, ``"alignment"``, ``"order"``, ``"user"`` or ``"file"``.
        certainty: ``"certain"``, ``"likely"`` or ``"guess"``.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    transform: Transform | None = None
    how: str = "user"
    certainty: str = CERTAIN


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A tensor of one side that has no partner on the other.

    Attributes:
        name: of the tensor.
        shape: of the tensor.
        reason: why it has no partner, in words.
        candidates: the names on the other side that came nearest.
        severity: ``"error"``; ``"lost"`` for the bias of a linear layer or convolution whose partner was built without
            one; or ``"harmless"`` when the other side cannot have it or does not need it: a counter, a constant index.
    """

    name: str
    shape: tuple[int, ...]
    reason: str
    candidates: tuple[str, ...] = ()
    severity: str = ERROR

    @property
    def harmless(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.severity == HARMLESS


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Tensors that fit each other equally well in more than one way.

    Attributes:
        source: names in the source.
        target: names in the target, each as good a partner as the others.
        reason: what leaves the choice open, in words.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    reason: str


class WeightMap:
    """Which tensors of a source become which tensors of a target, in the order of the source.

    It can be edited: ``map["a.weight"] = "b.weight"`` sends a source tensor elsewhere, ``del map["a.weight"]`` leaves
    it out on purpose, which nothing complains of any more.

    Args:
        entries: the steps of the map.
        unmatched_source: what the source has and the target has no place for.
        unmatched_target: what the target has and the source does not provide.
        ambiguous: where several partners were equally good.
        order: the names of the source in its order; by default that of the entries.
        notes: what else the reader of the map should know: tied weights, a prefix that was taken off.

    Raises:
        WeightMapError: two entries use the same source name, or lead to the same target name.
    """

    def __init__(
        self,
        entries: Iterable[MapEntry],
        *,
        unmatched_source: Iterable[Unmatched] = (),
        unmatched_target: Iterable[Unmatched] = (),
        ambiguous: Iterable[Ambiguity] = (),
        order: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> None:
        self._entries = tuple(entries)
        self.unmatched_source = tuple(unmatched_source)
        self.unmatched_target = tuple(unmatched_target)
        self.ambiguous = tuple(ambiguous)
        self.notes = tuple(notes)
        self._order = tuple(order)
        _check_names(self._entries)

    @property
    def entries(self) -> tuple[MapEntry, ...]:
        """The steps of the map, in the order of the source."""
        return self._entries

    @property
    def complete(self) -> bool:
        """Whether nothing is ambiguous, and everything without a partner needs none."""
        return not self.ambiguous and all(u.harmless for u in (*self.unmatched_source, *self.unmatched_target))

    def __iter__(self) -> Iterator[MapEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        counts = [f"{len(self._entries)} entries"]
        for title, some in (
            ("unmatched in the source", self.unmatched_source),
            ("unmatched in the target", self.unmatched_target),
            ("ambiguous", self.ambiguous),
        ):
            counts += [f"{len(some)} {title}"] if some else []
        return f"<WeightMap: {', '.join(counts)}>"

    def __str__(self) -> str:
        return "\n".join([self.table(), *self._open_questions(), *self.notes])

    def table(self) -> str:
        """The entries as a table: names, change of layout, how each was found and how sure it is."""
        from prettytable import PrettyTable

        table = PrettyTable(["source", "target", "change of layout", "found by", "certainty"], align="l")
        table.add_rows(
            [
                ["\n".join(e.source), "\n".join(e.target), str(e.transform or ""), e.how, e.certainty]
                for e in self._entries
            ]
        )
        return str(table.get_string())

    def _open_questions(self) -> Iterator[str]:
        for title, unmatched in (("source", self.unmatched_source), ("target", self.unmatched_target)):
            if unmatched:
                yield f"In the {title}, without a partner:"
            for one in unmatched:
                near = f" (nearest: {', '.join(one.candidates)})" if one.candidates else ""
                yield f"  {one.severity}: {one.name} {one.shape}: {one.reason}{near}"
        if self.ambiguous:
            yield "Ambiguous:"
        for some in self.ambiguous:
            yield f"  {', '.join(some.source)} -> {' or '.join(some.target)}: {some.reason}"

    def __getitem__(self, source: str) -> str | tuple[str, ...]:
        """The target name of a source name; several names when it is split. Raises KeyError when it has none."""
        for entry in self._entries:
            if source in entry.source:
                return entry.target[0] if len(entry.target) == 1 else entry.target
        raise KeyError(source)

    def __setitem__(self, source: str, target: str) -> None:
        """Send a source tensor to this target name, in place of whatever the map said of either."""
        old = next((entry for entry in self._entries if entry.source == (source,) and len(entry.target) == 1), None)
        new = replace(old, target=(target,), how="user", certainty=CERTAIN) if old else MapEntry((source,), (target,))
        kept = [e for e in self._entries if source not in e.source and (target not in e.target or e.target == ())]
        position = next((i for i, e in enumerate(self._entries) if source in e.source), len(kept))
        kept.insert(min(position, len(kept)), new)
        self._settle(kept, {source}, {target})

    def __delitem__(self, source: str) -> None:
        """Leave a source tensor out on purpose. Raises KeyError when the map says nothing of it."""
        if source not in (u.name for u in self.unmatched_source):
            self[source]
        left_out = Unmatched(source, (), "the map leaves it out", severity=HARMLESS)
        self._settle([entry for entry in self._entries if source not in entry.source], {source}, set())
        self.unmatched_source += (left_out,)

    def _settle(self, entries: list[MapEntry], sources: set[str], targets: set[str]) -> None:
        """Take over edited entries; what they now cover is no longer unmatched or ambiguous."""
        _check_names(entries)
        self._entries = tuple(entries)
        self.unmatched_source = tuple(u for u in self.unmatched_source if u.name not in sources)
        self.unmatched_target = tuple(u for u in self.unmatched_target if u.name not in targets)
        self.ambiguous = tuple(
            a for a in self.ambiguous if not (sources & set(a.source)) and not (targets & set(a.target))
        )

    def apply(self, source: LazyTensors) -> MappedTensors:
        """The source under the names and layouts of the target; tensors are read and changed when asked for.

        Raises:
            WeightMapError: the map names tensors that the source lacks, or a transform does not fit a shape.
        """
        return MappedTensors(source, self._entries)

    def only(self, names: Collection[str]) -> WeightMap:
        """The entries whose sources are all among these names: the map of a part of the source."""
        return WeightMap(entry for entry in self._entries if all(name in names for name in entry.source))

    def inverse(self) -> WeightMap:
        """The map from the target back to the source."""
        return WeightMap(
            (
                replace(entry, source=entry.target, target=entry.source, transform=_inverse(entry.transform))
                for entry in self._entries
            ),
            unmatched_source=self.unmatched_target,
            unmatched_target=self.unmatched_source,
            ambiguous=(Ambiguity(a.target, a.source, a.reason) for a in self.ambiguous),
            notes=self.notes,
        )

    def renamed(
        self, rename: Mapping[str, str] | Callable[[str], str] | None = None, prefix: str | None = None
    ) -> WeightMap:
        """The map with other target names.

        Args:
            rename: old prefix → new prefix of target names, matched at the dots, the longest first; or a function from
                a target name to the one to use.
            prefix: put before every name afterwards, with a dot between.

        Raises:
            WeightMapError: two names became one.
        """
        change = rename if callable(rename) else _prefix_changer(rename or {})
        front = f"{prefix}." if prefix else ""
        return self._with_targets(lambda name: front + change(name))

    def with_names(self, names: Mapping[str, str]) -> WeightMap:
        """The map with the target names of an edited ``name_map`` (see :meth:`to_pair`).

        Args:
            names: source name → target name, for exactly the source names of this map.

        Raises:
            WeightMapError: a source name is missing or unknown, or two lead to one target; the message names them.
        """
        known, _ = self.to_pair()
        missing, unknown = [n for n in known if n not in names], [n for n in names if n not in known]
        if missing or unknown:
            problems = [f"dropped {', '.join(missing)}"] if missing else []
            problems += [f"added {', '.join(unknown)}"] if unknown else []
            raise WeightMapError(f"the names given for the weight map differ from the source's: {'; '.join(problems)}")
        wrong = [n for n, target in names.items() if not isinstance(target, str | list | tuple | None)]
        if wrong:
            raise WeightMapError(f"the target names of a weight map must be str: see {', '.join(wrong)}")
        return WeightMap.from_pair(names, self.to_pair()[1])

    def _with_targets(self, change: Callable[[str], str]) -> WeightMap:
        return WeightMap(
            (replace(entry, target=tuple(change(name) for name in entry.target)) for entry in self._entries),
            unmatched_source=self.unmatched_source,
            unmatched_target=self.unmatched_target,
            ambiguous=self.ambiguous,
            order=self._order,
            notes=self.notes,
        )

    def to_pair(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The map as two dicts that JSON can hold.

        Returns:
            ``name_map``, source name → target name in the order of the source (a list of names when the tensor is
            split, None when it is left out for a good reason, ``""`` when its place is still open: such a map is
            refused until a name or None stands there); and ``value_map``, source name → transform for the entries whose
            layout changes. Tensors that are fused lead to one name, and their transform lists the
            ``sources`` in order.
        """
        targets: dict[str, Any] = {u.name: None if u.harmless else _OPEN for u in self.unmatched_source}
        values: dict[str, Any] = {}
        for entry in self._entries:
            for name in entry.source:
                targets[name] = entry.target[0] if len(entry.target) == 1 else list(entry.target)
                if entry.transform is not None:
                    values[name] = entry.transform.to_json()
                    if len(entry.source) > 1:
                        values[name]["sources"] = list(entry.source)
        order = {name: None for name in (*self._order, *targets) if name in targets}
        return {name: targets[name] for name in order}, {name: values[name] for name in order if name in values}

    @classmethod
    def from_pair(cls, name_map: Mapping[str, Any], value_map: Mapping[str, Any]) -> WeightMap:
        """The map that these two dicts describe; also those that the older tool wrote.

        Raises:
            WeightMapError: they do not have the form that :meth:`to_pair` gives.
        """
        if not isinstance(name_map, Mapping) or not isinstance(value_map, Mapping):
            raise WeightMapError("a weight map is a pair of dicts: names → names, and names → transforms")
        stray = [name for name in value_map if name not in name_map]
        if stray:
            raise WeightMapError(f"the weight map changes values of names that it does not map: {', '.join(stray)}")
        entries: dict[tuple[str, ...], MapEntry] = {}
        unmatched = []
        for name, target in name_map.items():
            if target is None or target == _OPEN:
                reason, severity = ("the map leaves it out", HARMLESS) if target is None else (_IS_OPEN, ERROR)
                unmatched.append(Unmatched(name, (), reason, severity=severity))
                continue
            names = (target,) if isinstance(target, str) else tuple(target) if isinstance(target, list | tuple) else ()
            if not names or not all(isinstance(part, str) for part in names):
                raise WeightMapError(f"{name!r} must lead to a name, a list of names or null, not to {target!r}")
            sources, transform = _read_value(name, value_map.get(name))
            entries.setdefault(sources, MapEntry(sources, names, transform, how="file"))
        return cls(entries.values(), unmatched_source=unmatched, order=name_map)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as JSON ``[name_map, value_map]``. Raises WeightMapError when the file cannot be written."""
        path = Path(path)
        if not path.absolute().parent.is_dir():
            raise WeightMapError(f"cannot write the weight map {path}: there is no folder {path.absolute().parent}")
        try:
            path.write_text(json.dumps(self.to_pair(), indent=4, ensure_ascii=False), encoding="utf-8")
        except OSError as problem:
            raise WeightMapError(f"cannot write the weight map {path}: {problem.strerror}") from problem

    @classmethod
    def of(cls, given: object) -> WeightMap:
        """The map that a caller gave: a map, the path of its file, or the pair of dicts of :meth:`to_pair`.

        Raises:
            ArgumentTypeError: it is none of these.
            WeightMapError: the file or the pair is no map; see :meth:`load` and :meth:`from_pair`.
        """
        if isinstance(given, WeightMap):
            return given
        if isinstance(given, str | os.PathLike):
            return cls.load(given)
        if isinstance(given, tuple | list) and len(given) == 2:
            return cls.from_pair(*given)
        raise ArgumentTypeError(
            f"weight_map must be a WeightMap, its file, or a pair of dicts, not {type(given).__name__}"
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WeightMap:
        """Read a map from JSON, of this tool or of the older one.

        Raises:
            WeightMapNotFoundError: there is no such file.
            WeightMapError: the file cannot be read, is not JSON, or not of the form ``[name_map, value_map]``.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except FileNotFoundError as problem:
            raise WeightMapNotFoundError(f"there is no weight map {path}; {_MAKE_ONE}") from problem
        except UnicodeDecodeError as problem:
            raise WeightMapError(f"{path} cannot be read as a weight map: it is no text; {_MAKE_ONE}") from problem
        except (OSError, ValueError) as problem:  # a folder, no permission, a null byte in the name
            reason = getattr(problem, "strerror", None) or problem
            raise WeightMapError(f"{path} cannot be read as a weight map: {reason}; {_MAKE_ONE}") from problem
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise WeightMapError(f"{path} is not a weight map: {problem}; {_MAKE_ONE}") from problem
        if not (isinstance(content, list) and len(content) == 2):
            raise WeightMapError(
                f"{path} is not a weight map: it must hold the list [name_map, value_map]; {_MAKE_ONE}"
            )
        try:
            return cls.from_pair(*content)
        except WeightMapError as problem:
            raise WeightMapError(f"{path}: {problem}") from problem


def _check_names(entries: Iterable[MapEntry]) -> None:
    entries = tuple(entries)
    for side, names in (
        ("start from", [name for entry in entries for name in entry.source]),
        ("lead to", [name for entry in entries for name in entry.target]),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise WeightMapError(f"several entries of the weight map {side} the same name: {', '.join(twice)}")


def _prefix_changer(prefixes: Mapping[str, str]) -> Callable[[str], str]:
    longest_first = sorted(prefixes, key=len, reverse=True)

    def change(name: str) -> str:
        for old in longest_first:
            stem = old.rstrip(".")
            if name == stem or name.startswith(f"{stem}.") or not stem:
                new = prefixes[old].rstrip(".")
                return f"{new}.{name[len(stem) :].lstrip('.')}".strip(".")
        return name

    return change


def _inverse(transform: Transform | None) -> Transform | None:
    return transform.inverse() if transform else None


def _read_value(name: str, value: Any) -> tuple[tuple[str, ...], Transform | None]:
    """The source names and the transform of one entry of a value map."""
    if value is None:
        return (name,), None
    if isinstance(value, str):
        if value not in OLDER_TRANSFORMS:
            raise WeightMapError(f"{name!r} asks for the function {value!r}, which no weight map may name")
        return (name,), OLDER_TRANSFORMS[value]
    if not isinstance(value, Mapping):
        raise WeightMapError(f"the transform of {name!r} must be an object with its name, not {value!r}")
    arguments = dict(value)
    sources = arguments.pop("sources", [name])
    if not isinstance(sources, list) or not all(isinstance(part, str) for part in sources) or name not in sources:
        raise WeightMapError(f"the transform of {name!r} must list names as its sources, its own among them")
    try:
        return tuple(sources), from_json(arguments)
    except WeightMapError as problem:
        raise WeightMapError(f"{name!r}: {problem}") from problem


class MappedTensors(LazyTensors):
    """A source seen through a weight map."""

    def __init__(self, source: LazyTensors, entries: Iterable[MapEntry]) -> None:
        self._source, self._entries = source, tuple(entries)
        self._where = {name: (entry, place) for entry in self._entries for place, name in enumerate(entry.target)}
        self._infos: dict[str, TensorInfo] = {}
        self._index: CheckpointIndex | None = None
        _require_names(self._entries, source)
        for entry in self._entries:
            with suppress(CheckpointError):  # a damaged file, which need not keep anybody from the others
                self._infos |= {info.name: info for info in _target_infos(entry, source)}

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
            self._infos |= {info.name: info for info in _target_infos(self.entry(name), self._source)}
        return self._infos[name]

    def read(self, name: str) -> Array:
        """One tensor under its target name, in the target's layout."""
        entry, position = self._where[name]
        arrays = tuple(self._source.read(source) for source in entry.source)
        return (entry.transform.apply(*arrays) if entry.transform else arrays)[position]

    def runs(self, name: str) -> Sequence[Array]:
        """The tensor as the source has it, unless its layout changes."""
        entry, _ = self._where[name]
        return [self.read(name)] if entry.transform else self._source.runs(entry.source[0])

    def entry(self, name: str) -> MapEntry:
        """The entry of the map that a target name comes from."""
        return self._where[name][0]

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


def _target_infos(entry: MapEntry, source: LazyTensors) -> Iterator[TensorInfo]:
    sources = [source.info(name) for name in entry.source]
    shapes = tuple(info.shape for info in sources)
    try:
        shapes = entry.transform.shapes(*shapes) if entry.transform else shapes
    except WeightMapError as problem:
        raise WeightMapError(f"{', '.join(entry.source)}: {problem}") from problem
    except ValueError as problem:  # it unpacks as many shapes as it takes
        raise WeightMapError(
            f"{', '.join(entry.source)}: {entry.transform} does not take {len(shapes)} tensors"
        ) from problem
    if len(shapes) != len(entry.target):
        raise WeightMapError(
            f"{', '.join(entry.source)}: the map gives {len(shapes)} tensors for {len(entry.target)} names"
        )
    dtype = sources[0].dtype
    for name, shape in zip(entry.target, shapes, strict=True):
        count = 1
        for size in shape:
            count *= size
        yield TensorInfo(name, shape, dtype, count * dtype.itemsize)
