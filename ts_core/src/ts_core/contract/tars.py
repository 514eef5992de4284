"""Tar archives: where the bytes of each member are.

Python's own reader gives its members' headers room and time that a file of a few bytes can ask for without end. Here a
header costs 512 bytes of the file, and is looked at once.

Source of the format: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html, with GNU's numbers in binary.
"""

from __future__ import annotations

from collections.abc import Iterator

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.files import reading

_BLOCK = 512  # bytes: of a header, and of what a content is filled up to
_NAME, _SIZE, _SUM, _TYPE, _PREFIX = slice(0, 100), slice(124, 136), slice(148, 156), slice(156, 157), slice(345, 500)
_REGULAR = (b"0", b"\0")
_ABOUT_THE_NEXT, _ABOUT_ALL = b"x", b"g"  # members with records about others
_MOST_RECORDS = 1 << 16  # bytes of these


def read_members(file: ByteSource) -> dict[str, tuple[int, int]]:
    """Where each member begins and ends, in the order of the archive.

    Raises:
        CheckpointError: the archive is damaged, or holds something else than regular files; a name is there twice.
    """
    members: dict[str, tuple[int, int]] = {}
    with reading(file.path):
        for name, start, end in _members(file):
            if name in members:
                raise file.error(f"{name} is there twice")
            members[name] = start, end
    return members


def _members(file: ByteSource) -> Iterator[tuple[str, int, int]]:
    position, told = 0, dict[bytes, bytes]()
    while any(header := bytes(file.read(position, position + _BLOCK))):
        if len(header) < _BLOCK or not _is_sound(header):
            raise file.error(f"the tar archive is damaged: there is no header at byte {position}")
        kind, size = header[_TYPE], _number(told.get(b"size"), header[_SIZE])
        start, end = position + _BLOCK, position + _BLOCK + size
        position = start + -(-size // _BLOCK) * _BLOCK
        name = told.get(b"path") or b"/".join(filter(None, (_text(header[_PREFIX]), _text(header[_NAME]))))
        if end > len(file):
            raise file.error(f"{name.decode(errors='replace')} reaches past the end of the file")
        if kind in (_ABOUT_THE_NEXT, _ABOUT_ALL):
            if size > _MOST_RECORDS:
                raise file.error(f"the tar archive is damaged: {size} bytes of records about a member")
            told = _records(bytes(file.read(start, end))) if kind == _ABOUT_THE_NEXT else {}
            continue
        if kind not in _REGULAR:
            raise file.error(f"{name.decode(errors='replace')}: a link or device in the archive")
        told = {}
        yield name.decode(), start, end


def _is_sound(header: bytes) -> bool:
    """Whether the sum of a header's bytes, with blanks in the place of the sum, is what it says."""
    stated = _number(None, header[_SUM])
    return sum(header) - sum(header[_SUM]) + 8 * ord(" ") == stated


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(told: bytes | None, field: bytes) -> int:
    """A number in a field of a header, unless a record told another: octal digits, or binary behind a byte of 0x80."""
    if told is not None:
        return int(told.decode("ascii")) if told.isdigit() and len(told) < 20 else _no_number(told)
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    return int(digits or b"0", 8) if digits.isdigit() or not digits else _no_number(digits)


def _no_number(text: bytes) -> int:
    raise ValueError(f"{text[:20]!r} is no number of bytes")


def _records(data: bytes) -> dict[bytes, bytes]:
    r"""Records of the form ``<length> <key>=<value>\n``, where the length is that of the record."""
    found, position = dict[bytes, bytes](), 0
    while position < len(data):
        length, blank, _ = data[position : position + 20].partition(b" ")
        record = data[position : position + int(length)] if length.isdigit() and blank else b""
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if not equals or not record.endswith(b"\n"):
            raise ValueError("a record about a member is cut off")
        found[key] = value
        position += len(record)
    return found
