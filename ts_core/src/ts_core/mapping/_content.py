"""What a weight map says, as one value that never changes, with its names indexed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from ts_core.errors import WeightMapError
from ts_core.mapping._nouns import Ambiguity, MapEntry, Unmatched
from ts_core.mapping._rows import one_or_more

Target = str | tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """All that a map says. It never changes: a map that is edited gets another one."""

    entries: tuple[MapEntry, ...]
    unmatched_source: tuple[Unmatched, ...]
    unmatched_target: tuple[Unmatched, ...]
    ambiguous: tuple[Ambiguity, ...]
    order: tuple[str, ...]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        for verb, found, names in (
            ("start from", self.by_source, [name for entry in self.entries for name in entry.source]),
            ("lead to", self.by_target, [name for entry in self.entries for name in entry.target]),
        ):
            if len(found) < len(names):
                twice = ", ".join(name for name, count in Counter(names).items() if count > 1)
                raise WeightMapError(f"several entries of the weight map {verb} the same name: {twice}")

    @cached_property
    def by_source(self) -> dict[str, MapEntry]:
        return {name: entry for entry in self.entries for name in entry.source}

    @cached_property
    def by_target(self) -> dict[str, MapEntry]:
        return {name: entry for entry in self.entries for name in entry.target}

    @cached_property
    def names(self) -> dict[str, Target]:
        return {name: one_or_more(entry.target) for name, entry in self.by_source.items()}

    def settled(self, entries: Iterable[MapEntry], sources: Collection[str], targets: Collection[str]) -> Content:
        """With other entries, which settle what was unmatched or ambiguous of these names."""
        return dataclasses.replace(
            self,
            entries=tuple(entries),
            unmatched_source=tuple(u for u in self.unmatched_source if u.name not in sources),
            unmatched_target=tuple(u for u in self.unmatched_target if u.name not in targets),
            ambiguous=tuple(
                a for a in self.ambiguous if set(a.source).isdisjoint(sources) and set(a.target).isdisjoint(targets)
            ),
        )
