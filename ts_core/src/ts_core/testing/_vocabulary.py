"""The canonical vocabulary as a page shows it."""

from __future__ import annotations

from collections.abc import Iterable

from ts_core.contract.layers import COUNTER, KINDS, OPTIONAL, Kind

_MARKS = {OPTIONAL: "?", COUNTER: "#"}


def vocabulary() -> str:
    """Kinds, roles, ranks and settings of :data:`~ts_core.contract.layers.KINDS`, as two tables of Markdown.

    Kinds that differ in the number of dimensions alone share a row.
    """
    rows: dict[tuple[str, ...], list[Kind]] = {}
    for kind in KINDS.values():
        rows.setdefault((kind.family, _roles(kind), _settings(kind)), []).append(kind)
    meanings = {(name, each.meaning): None for kind in KINDS.values() for name, each in kind.settings.items()}
    kinds = (
        (_code(kind.name for kind in same), roles, _ranks(same), ", ".join(same[0].gates), settings)
        for (_, roles, settings), same in rows.items()
    )
    return "\n".join(
        [
            "A role with `?` may be missing, which makes another layer of it; one with `#` only counts.",
            "",
            *_table(("kind", "roles", "axes of the weight", "gates", "settings"), kinds),
            "",
            *_table(("setting", "meaning"), ((f"`{name}`", meaning) for name, meaning in sorted(meanings))),
        ]
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _roles(kind: Kind) -> str:
    return _code(f"{role}{_MARKS.get(need, '')}" for role, need in kind.roles.items())


def _settings(kind: Kind) -> str:
    return _code(name if s.default is ... else f"{name}={s.default}" for name, s in kind.settings.items())


def _ranks(same: list[Kind]) -> str:
    return ", ".join(dict.fromkeys(str(kind.rank) for kind in same if kind.rank is not None))


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
