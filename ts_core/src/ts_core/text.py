"""Text that may come from a file, made safe to show: one line, in which every character is what it looks like.

Names, paths, metadata and what a damaged file says of itself are data. On a terminal some of their characters would
act: move the cursor, change the title of the window, begin a line of their own, turn the direction of reading. Errors,
warnings, the log, tables and the command line show no text but through :func:`safe`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MOST = 512  # characters of a word, which a name or a path is; longer ones are shortened
_MOST_IN_ALL = 1 << 12  # characters of a line
_MOST_LOOKED_AT = 1 << 16  # characters of a text
_LONG = re.compile(rf"\S{{{_MOST + 1},}}")
# Characters that Unicode files as letters or marks, and that show nothing.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
_SUSPECT = re.compile(r"[^ -~]")


class Lines(str):
    """Text of several lines, each of which is safe: what :func:`lines` makes."""

    __slots__ = ()


def safe(text: object) -> str:
    r"""Text that can be shown as it is.

    Controls, line breaks, characters that have no width or turn the direction, and halves of characters become escapes
    as Python writes them, such as ``\x1b``; words of more than 512 characters lose
    their middle, and so do lines of more than 4096.

    Args:
        text: anything; :class:`Lines` stay as they are.
    """
    if isinstance(text, Lines):
        return text
    words = _cut(str(text), _MOST_LOOKED_AT)
    if not (words.isascii() and words.isprintable()):
        words = _SUSPECT.sub(lambda found: _escaped(found[0]), words)
    return words if len(words) <= _MOST else _cut(_LONG.sub(_shortened, words), _MOST_IN_ALL)


def lines(*parts: object) -> Lines:
    """Parts below each other, each made safe."""
    return Lines("\n".join(map(safe, parts)))


def listed(head: str, items: Iterable[object]) -> Lines:
    """A line, and below it one for each item, indented."""
    return lines(head, *(Lines(f"  {safe(item)}") for item in items))


def escaped_json(text: str) -> str:
    """JSON of the same values without characters that a terminal would obey."""
    return _SUSPECT.sub(lambda found: found[0] if found[0] == "\n" else _escaped(found[0], json=True), text)


def _shortened(found: re.Match[str]) -> str:
    return _cut(found[0], _MOST)


def _cut(text: str, most: int) -> str:
    """A text without its middle if it is longer than that: less than half of it from the beginning, then the end."""
    if len(text) <= most:
        return text
    kept = most * 2 // 5
    return f"{text[:kept]}[… {len(text) - kept - kept // 2:,} characters …]{text[-kept // 2 :]}"


def _escaped(character: str, json: bool = False) -> str:
    if character.isprintable() and character not in _BLANK:
        return character
    if not json:
        return character.encode("unicode_escape").decode("ascii")
    return "".join(f"\\u{unit:04x}" for unit in _units(character))


def _units(character: str) -> Iterable[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))
