"""Options that several commands have."""

from __future__ import annotations

import click


def at_most_one(given: dict[str, str | None]) -> None:
    """Refuse options of which several were given. Raises click.UsageError."""
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} contradict each other: give one of them")


def assignment(text: str, option: str, example: str) -> tuple[str, str]:
    """The two sides of ``OLD=NEW``. Raises click.BadParameter, which shows the example, when it is not of that form."""
    old, equals, new = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form {example}", param_hint=option)
    return old, new
