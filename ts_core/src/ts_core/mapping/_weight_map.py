"""Weight maps: which tensors of a source become which tensors of a target, and by which change of layout."""

from __future__ import annotations

import dataclasses
import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentTypeError, WeightMapError
from ts_core.mapping import _map_file, _rows
from ts_core.mapping._content import Content, Target
from ts_core.mapping._folding import folded
from ts_core.mapping._mapped import MappedTensors
from ts_core.mapping._names import prefix_changer
from ts_core.mapping._nouns import HARMLESS, LEFT_OUT, Ambiguity, MapEntry, Unmatched
from ts_core.mapping._rows import MapRow, one_or_more
from ts_core.reporting import Column, Table, Tabular
from ts_core.text import safe


class WeightMap(Tabular[MapRow]):
    """Which tensors of a source become which tensors of a target, in the order of the source.

    A map is a sequence of :class:`MapEntry`, over which it iterates, and it looks names up: ``"a.weight" in map``,
    ``map["a.weight"]``, or an entry, ``[map[each] for each in map]``; :attr:`names` is the same as a mapping. Editing
    changes the map as a whole: ``map["a.weight"] = "b.weight"`` sends a source tensor elsewhere,
    ``del map["a.weight"]`` leaves it out on purpose, of which nothing complains any more. Everything else gives a new
    map. Two maps are equal when they are the same one.

    What it is made of is said by the properties of the same names; `order` are the names of the source in its order, by
    default that of the entries.

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
        parts = (entries, unmatched_source, unmatched_target, ambiguous, order, notes)
        self._content = Content(*map(tuple, parts))  # type: ignore[arg-type]

    @property
    def entries(self) -> tuple[MapEntry, ...]:
        """The steps of the map, in the order of the source."""
        return self._content.entries

    @property
    def unmatched_source(self) -> tuple[Unmatched, ...]:
        """What the source has and the target has no place for."""
        return self._content.unmatched_source

    @property
    def unmatched_target(self) -> tuple[Unmatched, ...]:
        """What the target has and the source does not provide."""
        return self._content.unmatched_target

    @property
    def ambiguous(self) -> tuple[Ambiguity, ...]:
        """Where several partners were equally good."""
        return self._content.ambiguous

    @property
    def notes(self) -> tuple[str, ...]:
        """What else the reader of the map should know: tied weights, a prefix that was taken off."""
        return self._content.notes

    @property
    def names(self) -> Mapping[str, Target]:
        """Source name → target name (several names when the tensor is split), of all that the map moves; read-only."""
        return MappingProxyType(self._content.names)

    @property
    def by_source(self) -> Mapping[str, MapEntry]:
        """Source name → the entry that starts from it; read-only."""
        return MappingProxyType(self._content.by_source)

    @property
    def by_target(self) -> Mapping[str, MapEntry]:
        """Target name → the entry that leads to it; read-only."""
        return MappingProxyType(self._content.by_target)

    @property
    def complete(self) -> bool:
        """Whether nothing is ambiguous, and everything without a partner needs none."""
        return not self.ambiguous and all(u.harmless for u in (*self.unmatched_source, *self.unmatched_target))

    @property
    def rows(self) -> tuple[MapRow, ...]:
        """The map as a report: a row for each entry, then for what has no partner, then for what is ambiguous."""
        return (
            *_rows.mapped(self.entries),
            *_rows.unmapped(self.unmatched_source, self.unmatched_target, self.ambiguous),
        )

    def __iter__(self) -> Iterator[MapEntry]:  # type: ignore[override]  # a map is its entries, more than its report
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __bool__(self) -> bool:
        """Whether it has entries; whether something is left open is what :attr:`complete` says."""
        return bool(self.entries)

    def __contains__(self, item: object) -> bool:
        """Whether the map moves the source tensor of this name; of an entry, whether it is one of the map's."""
        return item in self._content.names if isinstance(item, str) else item in self.entries

    def __getitem__(self, source: str | MapEntry) -> Target:
        """The target name of a source name, or of an entry of the map; several names when it is split.

        Raises:
            KeyError: it has none.
        """
        if not isinstance(source, MapEntry):
            return self._content.names[source]
        if self.by_source.get(source.source[0]) != source:
            raise KeyError(source)
        return one_or_more(source.target)

    def __setitem__(self, source: str, target: str) -> None:
        """Send a source tensor to this target name, in place of whatever the map said of either.

        Raises:
            ArgumentTypeError: the target is no name.
        """
        if not isinstance(target, str) or not target:
            raise ArgumentTypeError(f"a target is a name, not {target!r}; `del map[name]` leaves a tensor out")
        old = self.by_source.get(source)
        new = MapEntry((source,), (target,))
        if old and len(old.source) == len(old.target) == 1:
            new = dataclasses.replace(new, transform=old.transform)
        kept = (new if e is old else e for e in self.entries if e is old or target not in e.target)
        self._content = self._content.settled([*kept, *([] if old else [new])], {source}, {target})

    def __delitem__(self, source: str) -> None:
        """Leave a source tensor out on purpose, and what it would have become. Raises KeyError for an unknown name."""
        open_names = {u.name for u in self.unmatched_source}.union(*(a.source for a in self.ambiguous))
        if source not in self and source not in open_names:
            raise KeyError(source)
        kept = [entry for entry in self.entries if source not in entry.source]
        targets = self.by_source[source].target if source in self else ()
        content = self._content.settled(kept, {source}, ())
        gone, without = ([Unmatched(n, (), LEFT_OUT, severity=HARMLESS) for n in some] for some in ([source], targets))
        self._content = dataclasses.replace(
            content,
            unmatched_source=(*content.unmatched_source, *gone),
            unmatched_target=(*content.unmatched_target, *without),
        )

    def __repr__(self) -> str:
        counts = [f"{len(self)} entries"]
        for title, some in (
            ("unmatched in the source", self.unmatched_source),
            ("unmatched in the target", self.unmatched_target),
            ("ambiguous", self.ambiguous),
        ):
            counts += [f"{len(some)} {title}"] if some else []
        return f"<WeightMap: {', '.join(counts)}>"

    def __str__(self) -> str:
        told = _rows.open_questions(self.entries, self.unmatched_source, self.unmatched_target, self.ambiguous)
        return "\n".join([self.table(), *map(safe, told), *map(safe, self.notes)])

    def table(self) -> str:
        """The entries as a table: names, change of layout, how each was found and how sure it is."""
        return Table(_rows.COLUMNS, _rows.mapped(self.entries)).text()

    def _columns(self) -> Sequence[Column[MapRow]]:
        return _rows.COLUMNS

    def _facts(self) -> dict[str, Any]:
        return {"complete": self.complete, "notes": list(self.notes)}

    def replaced(self, **parts: Any) -> WeightMap:
        """The map with some of its parts exchanged, called as where a map is made (``notes=...``).

        Raises:
            WeightMapError: see :class:`WeightMap`.
        """
        return WeightMap(
            **{field.name: getattr(self._content, field.name) for field in dataclasses.fields(Content)} | parts
        )

    def apply(self, source: LazyTensors) -> MappedTensors:
        """The source under the names and layouts of the target; tensors are read and changed when asked for.

        Raises:
            WeightMapError: the map names tensors that the source lacks, or a transform does not fit a shape.
        """
        return MappedTensors(source, self.entries)

    def only(self, names: Collection[str]) -> WeightMap:
        """The map of a part of the source: the entries, and what else it says, of these names alone."""
        return self.replaced(
            entries=[entry for entry in self.entries if all(name in names for name in entry.source)],
            unmatched_source=[u for u in self.unmatched_source if u.name in names],
            ambiguous=[a for a in self.ambiguous if any(name in names for name in a.source)],
            order=[name for name in self._content.order if name in names],
        )

    def inverse(self) -> WeightMap:
        """The map from the target back to the source.

        Raises:
            WeightMapError: it adds tensors (a folded bias), which their sum does not tell.
        """
        return WeightMap(
            (
                MapEntry(e.target, e.source, e.transform.inverse() if e.transform else None, e.how, e.certainty)
                for e in self.entries
            ),
            unmatched_source=self.unmatched_target,
            unmatched_target=self.unmatched_source,
            ambiguous=(Ambiguity(a.target, a.source, a.reason) for a in self.ambiguous),
            notes=self.notes,
        )

    def fold(self, *names: str) -> WeightMap:
        """The map that subtracts biases from the running mean of the batch norm behind them, which changes no output.

        Args:
            names: of biases that the target has no place for; without any, all that would get lost.

        Raises:
            WeightMapError: one of them cannot be folded, because no batch norm follows; the message says why.
        """
        lost = {one.name: one for one in self.unmatched_source}
        entries = tuple(folded(self.entries, lost, names or None))
        gone = {name for entry in entries for name in entry.source}
        return self.replaced(entries=entries, unmatched_source=[u for u in self.unmatched_source if u.name not in gone])

    def renamed(
        self, rename: Mapping[str, str] | Callable[[str], str] | None = None, prefix: str | None = None
    ) -> WeightMap:
        """The map with other target names.

        Args:
            rename: old prefix → new prefix of target names, matched at the dots, the longest first; or a function from
                a target name to the one to use.
            prefix: put before every name afterwards, with a dot between.

        Raises:
            ArgumentTypeError: `rename` is neither of these.
            WeightMapError: two names became one.
        """
        if (
            rename is not None
            and not callable(rename)
            and not (
                isinstance(rename, Mapping) and all(isinstance(name, str) for pair in rename.items() for name in pair)
            )
        ):
            raise ArgumentTypeError(f"rename must be a dict of prefixes or a function, not {reprlib.repr(rename)}")
        change = rename if callable(rename) else prefix_changer(rename or {})
        front = f"{prefix}." if prefix else ""
        return self.replaced(
            entries=[
                dataclasses.replace(entry, target=tuple(front + change(name) for name in entry.target))
                for entry in self.entries
            ]
        )

    def with_names(self, names: Mapping[str, str]) -> WeightMap:
        """The map with the target names of an edited ``name_map`` (see :meth:`to_pair`).

        Args:
            names: source name → target name, for exactly the source names of this map.

        Raises:
            WeightMapError: a source name is missing or unknown, or two lead to one target; the message names them.
        """
        known, values = self.to_pair()
        dropped, added = ([n for n in some if n not in others] for some, others in ((known, names), (names, known)))
        strays = (("dropped", dropped), ("added", added))
        problems = [f"{verb} {', '.join(some)}" for verb, some in strays if some]
        if problems:
            raise WeightMapError(f"the names given for the weight map differ from the source's: {'; '.join(problems)}")
        wrong = [n for n, target in names.items() if not isinstance(target, str | list | tuple | None)]
        if wrong:
            raise WeightMapError(f"the target names of a weight map must be str: see {', '.join(wrong)}")
        return WeightMap.from_pair(names, values)

    def to_pair(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The map as two dicts that JSON can hold.

        Returns:
            ``name_map``, source name → target name in the order of the source (a list of names when the tensor is
            split, None when it is left out for a good reason, ``""`` when its place is still open: such a map is
            refused until a name or None stands there); and ``value_map``, source name → transform for the entries whose
            layout changes. Tensors that are fused lead to one name, and their transform lists the
            ``sources`` in order.
        """
        return _map_file.to_pair(self.entries, self.unmatched_source, self._content.order)

    @classmethod
    def from_pair(cls, name_map: Mapping[str, Any], value_map: Mapping[str, Any]) -> WeightMap:
        """The map that these two dicts describe; also those that the older tool wrote.

        Raises:
            WeightMapError: they do not have the form that :meth:`to_pair` gives.
        """
        entries, unmatched = _map_file.from_pair(name_map, value_map)
        return cls(entries, unmatched_source=unmatched, order=name_map)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as JSON ``[name_map, value_map]``, whole or not at all.

        Raises:
            WeightMapError: the file cannot be written; what was there before still is.
        """
        _map_file.write(path, self.to_pair())

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
        content = _map_file.read(path)
        try:
            return cls.from_pair(*content)
        except WeightMapError as problem:
            raise WeightMapError(f"{path}: {problem}") from problem
