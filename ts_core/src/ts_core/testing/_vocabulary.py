"""The canonical vocabulary as a page shows it."""

from __future__ import annotations

from collections.abc import Iterable

from ts_core.contract.layers import COUNTER, GATES, KINDS, OPTIMIZER, OPTIONAL, Kind

_MARKS = {OPTIONAL: "?", COUNTER: "#"}


def vocabulary() -> str:
    """Kinds, roles, ranks, gates and settings of :data:`~ts_core.contract.layers.KINDS`, as tables of Markdown.

    Kinds that differ in the number of dimensions alone share a row, and so do those that have the same settings and no
    parameters.
    """
    rows: dict[tuple[str, ...], list[Kind]] = {}
    for kind in KINDS.values():
        rows.setdefault((kind.family if kind.roles else "", _roles(kind), _settings(kind)), []).append(kind)
    settings = {(name, s.meaning) for kind in KINDS.values() for name, s in kind.settings.items() if s.meaning}
    kinds = (
        (_code(kind.name for kind in same), roles, _ranks(same), ", ".join(same[0].gates), spelled)
        for (_, roles, spelled), same in rows.items()
    )
    return "\n".join(
        [
            "A role with `?` may be missing, which makes another layer of it; one with `#` only counts.",
            "",
            *_table(("kind", "roles", "axes of the weight", "gates", "settings"), kinds),
            "",
            *_table(("gate", "meaning"), ((f"`{letter}`", meaning) for letter, meaning in GATES.items())),
            "",
            *_table(("setting", "meaning"), ((f"`{name}`", meaning) for name, meaning in sorted(settings))),
        ]
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _roles(kind: Kind) -> str:
    parts: dict[str, dict[str, str]] = {}
    for role, need in kind.roles.items():
        part, _, local = role.partition(".")
        parts.setdefault(part, {})[local] = need
    words = []
    for part, inner in parts.items():
        like = next((known.name for known in KINDS.values() if len(inner) > 2 and known.roles == inner), None)
        if like:
            words.append(f"`{part}.` with the roles of `{like}`")
        else:
            roles = {f"{part}.{local}".rstrip("."): need for local, need in inner.items() if need != OPTIMIZER}
            words += [f"`{role}{_MARKS.get(need, '')}`" for role, need in roles.items()]
    return ", ".join(words)


def _settings(kind: Kind) -> str:
    own = _code(name if s.default is ... else f"{name}={_short(s.default)}" for name, s in kind.settings.items())
    if kind.means is None:
        return own
    other, told = kind.means
    means = f"a `{other}` with {_code(f'{name}={value}' for name, value in told.items())}"
    return f"{own}; {means}" if own else means


def _short(default: object) -> object:
    return f"{default:.4g}" if isinstance(default, float) else default


def _ranks(same: list[Kind]) -> str:
    return ", ".join(dict.fromkeys(str(kind.rank) for kind in same if kind.rank is not None))


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
