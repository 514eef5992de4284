"""The source code between two calls."""

from __future__ import annotations

import linecache

from ts_core.running import Line, TracedCall

_MOST = 12  # lines of one gap


def lines_between(
    before: TracedCall | None, at: TracedCall | None, parent: TracedCall | None = None
) -> tuple[Line, ...]:
    """From the line that makes one call to the line that makes the next, where both stand in one function."""
    begin, end = (call.line if call is not None else None for call in (before, at))
    if end is None:
        return () if begin is None else _from(begin, begin.number + _MOST // 2)
    if begin is None or (begin.file, begin.function) != (end.file, end.function):
        return _from(end, end.number)
    if begin.number > end.number:
        begin, end = end, begin
    return _from(begin, min(end.number, begin.number + _MOST))


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
