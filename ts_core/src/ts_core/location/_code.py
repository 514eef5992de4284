"""The source code between two calls."""

from __future__ import annotations

import dataclasses
import linecache

from ts_core.running import Line, TracedCall

_MOST = 12  # lines of one gap


def lines_between(before: TracedCall | None, at: TracedCall | None) -> tuple[Line, ...]:
    """From the line that makes one call to the line that makes the next, in the innermost function that makes both."""
    sides = [() if call is None else call.callers for call in (before, at)]
    for begin in sides[0]:
        for end in sides[1]:
            if (begin.file, begin.function) == (end.file, end.function):
                first, last = sorted((begin.number, end.number))
                return _from(dataclasses.replace(begin, number=first), min(last, first + _MOST))
    if sides[1]:
        return _from(sides[1][0], sides[1][0].number)
    return _from(sides[0][0], sides[0][0].number + _MOST // 2) if sides[0] else ()


def _from(begin: Line, last: int) -> tuple[Line, ...]:
    lines = []
    for number in range(begin.number, last + 1):
        text = linecache.getline(begin.file, number).rstrip()
        if number > begin.number and text.lstrip().startswith(("def ", "class ", "@")):
            break
        if text.strip():
            lines.append(Line(begin.file, number, begin.function, text))
    if not lines and begin.text:
        lines = [begin]
    return tuple(lines)
