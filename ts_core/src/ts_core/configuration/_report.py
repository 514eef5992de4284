"""The settings of two networks side by side, as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from ts_core.configuration import _file
from ts_core.configuration._description import NetworkSettings
from ts_core.configuration._meaning import (
    KIND,
    does_nothing,
    shown,
)
from ts_core.contract.layers import KINDS
from ts_core.contract.settings import SettingValue
from ts_core.frameworks import ToldLayer, title_of
from ts_core.reporting import Column, Table, Tabular

_OUT_OF_SIGHT = "functional calls are out of sight: use ts.locate"
_SPELLED = 32  # characters that a table shows of how a value is spelled
_LINES = 50  # of the table that is printed


class SettingDifference(NamedTuple):
    """One setting of two layers that belong together; false where they differ in meaning.

    Attributes:
        source: the path of the source's layer; ``""`` for the network itself, and where the target alone has the layer.
        target: the path of the target's layer; likewise.
        kind: what the layer is, in canonical terms.
        setting: canonical name; ``kind`` for what the layer is, ``training`` for its mode, ``dtype``.
        source_value: in the meaning and units of :data:`~ts_core.contract.layers.KINDS`; None where there is no layer.
        target_value: likewise.
        same: whether the two mean the same.
        when: when a difference shows: ``inference``, ``training only`` or ``at some sizes``; empty where it never does.
        sizes: the sizes of the input at which it shows, where it depends on these.
        how: how the two layers were found to belong together: ``weights``, ``name``, ``order``, ``left over``; empty
            for the network, and for a layer of one side.
        source_told: how the source's framework has it.
        target_told: how the target's framework has it.
        moved: how far the output of the target's layer was from the source's when both ran on equal inputs, relative
            to the largest output; None where that was not tried.
        remark: what else is to be known.
    """

    source: str
    target: str
    kind: str
    setting: str
    source_value: object
    target_value: object
    same: bool
    when: str = ""
    sizes: str = ""
    how: str = ""
    source_told: SettingValue | None = None
    target_told: SettingValue | None = None
    moved: float | None = None
    remark: str = ""

    def __bool__(self) -> bool:
        return self.same

    @property
    def source_spelled(self) -> str:
        """As it stands in the source."""
        return _file.spelled(self.source_told)

    @property
    def target_spelled(self) -> str:
        """As it stands in the target."""
        return _file.spelled(self.target_told)

    @property
    def one_sided(self) -> bool:
        """Whether only one of the networks has the layer."""
        return self.setting == KIND and (self.source_value is None) != (self.target_value is None)


class SettingsReport(Tabular[SettingDifference]):
    """What two networks were told, side by side; false when something differs in meaning.

    The rows that differ come first: those that a run showed to move the output, the furthest first; then what shows in
    inference, at some sizes, in layers of one side, and in training only. What means the same follows, in the order of
    the source.

    Attributes:
        rows: one for each setting of each pair of layers.
        source: the one network's settings.
        target: the other's.
        unknown: layers of which no settings are known, and where: ``"source"`` or ``"target"``.
        notes: what else is to be known.
    """

    _title = "Settings that differ"

    def __init__(
        self,
        rows: Sequence[SettingDifference],
        source: NetworkSettings,
        target: NetworkSettings,
        pairs: int,
        code: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._rows = tuple(rows)
        self.source, self.target = source, target
        self.unknown = tuple(
            (side, one) for side, told in (("source", source), ("target", target)) for one in told.unknown
        )
        self._pairs, self._code = pairs, tuple(code)

    @property
    def rows(self) -> tuple[SettingDifference, ...]:
        """One for each setting of each pair of layers, those that differ first."""
        return self._rows

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Kind, whatever its dimensions → how many layers of it both have, without those that do nothing."""
        ours, theirs = (
            Counter(_family(one) for one in told.named if not does_nothing(one)) for told in (self.source, self.target)
        )
        return {kind: (ours[kind], theirs[kind]) for kind in {**ours, **theirs}}

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be known."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        uneven = [f"{kind} {ours} | {theirs}" for kind, (ours, theirs) in self.counts.items() if ours != theirs]
        if uneven:
            yield f"layers by kind, source | target: {', '.join(uneven)}"
        if any(row.one_sided and not row for row in self.rows):
            yield f"a layer of one side may be done in code on the other: {_OUT_OF_SIGHT}"
        if self._code:
            places = ", ".join(f"{one} | {other}" for one, other in self._code)
            yield f"a layer here and code of its own there, source | target: {places}"
        for side in ("source", "target"):
            strangers = [one for where, one in self.unknown if where == side]
            if strangers:
                names = (f"{one.path} ({one.kind or one.cls.rpartition('.')[2]})" for one in strangers)
                yield f"no settings are known of {len(strangers)} layers of the {side}: {', '.join(names)}"

    @property
    def summary(self) -> str:
        """The report in one line."""
        differ = len(self.failed)
        layers = len({(row.source, row.target) for row in self.failed})
        if not differ:
            return f"{self._pairs} pairs of layers were told the same: {len(self.rows)} settings"
        return f"{differ} of {len(self.rows)} settings differ, in {layers} places; {self._pairs} pairs of layers"

    def __str__(self) -> str:
        return "\n".join([*([self.table()] if self.failed else []), self.summary, *map(_file.one_line, self.notes)])

    def table(self) -> str:
        """What differs, as a text table; layers that differ alike are one line."""
        alike: dict[tuple[object, ...], list[SettingDifference]] = {}
        for row in self.failed:
            alike.setdefault((row.kind, *row[3:9], row.one_sided and bool(row.source)), []).append(row)
        columns: list[Column[list[SettingDifference]]] = [
            Column("", lambda rows: _places(rows, "source"), f"Layer of {_title(self.source, 'source')}", align="l"),
            Column("", lambda rows: _places(rows, "target"), f"Layer of {_title(self.target, 'target')}", align="l"),
            Column("", lambda rows: rows[0].kind, "Kind", align="l"),
            Column("", lambda rows: rows[0].setting, "Setting", align="l"),
            Column("", lambda rows: _value(rows[0].source_value, rows[0].source_spelled), "Source", align="l"),
            Column("", lambda rows: _value(rows[0].target_value, rows[0].target_spelled), "Target", align="l"),
            Column("", lambda rows: _when(rows[0]), "Shows", align="l"),
        ]
        groups = list(alike.values())
        text = Table(columns, groups[:_LINES], self._title).text()
        more = len(groups) - _LINES
        return f"{text}\n... and {more} more: .failed, .to_csv and .to_json have them all" if more > 0 else text

    def _columns(self) -> Sequence[Column[SettingDifference]]:
        names = ("source", "target", "kind", "setting", "source_value", "target_value", "same", "when", "sizes", "how")
        more = ("source_spelled", "target_spelled", "moved", "remark")
        return [Column(name, attrgetter(name)) for name in (*names, *more)]

    def _facts(self) -> dict[str, Any]:
        return {
            "same": bool(self),
            "summary": self.summary,
            "notes": list(self.notes),
            "layers": {kind: list(both) for kind, both in self.counts.items()},
            "unknown": [{"side": side, "path": one.path, "class": one.cls} for side, one in self.unknown],
        }


def _family(layer: ToldLayer) -> str:
    kind = KINDS.get(layer.kind or "")
    return kind.family if kind is not None else layer.kind or layer.cls.rpartition(".")[2]


def _title(told: NetworkSettings, side: str) -> str:
    return f"{title_of(told.framework) if told.framework else told.name} ({side})"


def _places(rows: Sequence[SettingDifference], side: str) -> str:
    first = getattr(rows[0], side) or ("-" if rows[0].one_sided else "(the network)")
    return first if len(rows) == 1 or first == "-" else f"{first} and {len(rows) - 1} more"


def _value(value: object, spelled: str) -> str:
    text = shown(value)
    otherwise = spelled.partition("=")[2] != repr(value) and not isinstance(value, bool)
    return f"{text} ({spelled})" if otherwise and 0 < len(spelled) <= _SPELLED else text


def _when(row: SettingDifference) -> str:
    words = f"{row.when}: {row.sizes}" if row.sizes else row.when
    moved = f"moves the output by {row.moved:.1e}" if row.moved else "" if row.moved is None else "not on these inputs"
    return "; ".join(filter(None, (words, moved, row.remark)))
