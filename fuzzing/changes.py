"""How a good file is changed: bytes at random, and the parts that its format gives it, put together again as it should.

Only what a format checks at the door (lengths, sums) is made right again, so that the change gets further in.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Change = Callable[[random.Random, bytes], bytes]

_NUMBERS = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 1000, 65535, 1 << 16, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
_NUMBERS += [1 << 32, 1 << 40, 1 << 53, (1 << 59) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 100]
_TEXTS = ["", "a", "\0", "..", "../x", "/", ".", "\x1b[31m", "\n", "\u202e", "\ud800", "x" * 300, "0" * 5000, "é", "-1"]
_WORDS = {  # of the header of an array
    "'<f4'": ["'<i8'", "'|O'", "'<U3'", "'>f8'", "[('a','<f4')]", "'<f2'", "None", "'<M8[s]'"],
    "(": ["((", "[", ""],
    "False": ["True", "1", "None"],
    ",": ["", ",,", ", -1,"],
}
_VALUES = [None, True, (), [], {}, 0.5, float("nan"), b"", b"x" * 300, (1, 2), [[]], {"a": 1}, {1: 2}, (0,) * 40]
_CALLS = [b"\x85", b"\x86", b"R", b"b", b"Q", b"\x81"]  # opcodes that make something of what stands on the stack
_WIDTHS = ["<B", "<H", ">H", "<I", ">I", "<Q", ">Q"]


def raw(rng: random.Random, data: bytes) -> bytes:
    """One to four changes of bytes, whatever they mean."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        place = rng.randrange(len(content) + 1)
        length = rng.choice([1, 1, 2, 4, 8, 16, 64, 512])
        kind = rng.randrange(8)
        if kind == 0 and content:
            content[place % len(content)] ^= 1 << rng.randrange(8)
        elif kind == 1 and content:
            content[place % len(content)] = rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)])
        elif kind == 2:
            form = rng.choice(_WIDTHS)
            size, number = struct.calcsize(form), rng.choice([*_NUMBERS, len(content), len(content) - place])
            content[place : place + size] = struct.pack(form, number & ((1 << 8 * size) - 1))
        elif kind == 3:
            del content[place : place + length]
        elif kind == 4:
            content[place:place] = content[place : place + length] * rng.choice([1, 2, 50])
        elif kind == 5:
            content[place:place] = rng.randbytes(length)
        elif kind == 6:
            del content[place:]
        else:
            other = rng.randrange(len(content) + 1)
            content[place : place + length] = content[other : other + length]
    return bytes(content)


def json_text(rng: random.Random, data: bytes) -> bytes:
    """One to three changes of values or keys of a text of JSON."""
    content = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = _other(rng, content)
    text = json.dumps(content)
    if rng.random() < 0.05:  # a key twice, which no value of Python has
        place = text.find('"')
        text = text[: place + 1] + 'a": 1, "a' + text[place + 1 :]
    return text.encode()


def _other(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        if isinstance(value, list):
            place = rng.randrange(len(value))
            return [_other(rng, part) if i == place else part for i, part in enumerate(value)]
        key = rng.choice(list(value))
        chance = rng.random()
        if chance < 0.1:
            return {inner: part for inner, part in value.items() if inner != key}
        if chance < 0.2:
            return {**value, _text(rng): value[key]}
        return {inner: _other(rng, part) if inner == key else part for inner, part in value.items()}
    return rng.choice([
        None, True, rng.choice(_NUMBERS), -rng.choice(_NUMBERS), 0.5, 1e308, float("nan"), _text(rng), [], {}, [value],
        {"a": value}, [value] * 40, _nested(value, 60), value,
    ])  # fmt: skip


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _text(rng: random.Random) -> str:
    return rng.choice(_TEXTS)


def safetensors(rng: random.Random, data: bytes) -> bytes:
    """Another header of the right length."""
    length = int.from_bytes(data[:8], "little")
    header = json_text(rng, data[8 : 8 + length])
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def npy(rng: random.Random, data: bytes) -> bytes:
    """Another header of the right length."""
    length = int.from_bytes(data[8:10], "little")
    header = data[10 : 10 + length].decode("latin-1").rstrip()
    words = {**_WORDS, ",": [*_WORDS[","], f", {rng.choice(_NUMBERS)},"]}
    for old, new in words.items():
        if rng.random() < 0.4:
            header = header.replace(old, rng.choice(new), 1)
    encoded = header.encode() + b"\n"
    return data[:8] + struct.pack("<H", len(encoded) & 0xFFFF) + encoded + data[10 + length :]


def pickled(rng: random.Random, data: bytes) -> bytes:
    """Opcodes left out, repeated, exchanged, or with another argument; what follows the pickle stays."""
    operations = list(pickletools.genops(data))
    starts = [place for _, _, place in operations if place is not None]
    end = starts[-1] + 1
    parts = [data[start:stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        place, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        kind = rng.randrange(7)
        if kind == 0:
            del parts[place]
        elif kind == 1:
            parts[place:place] = parts[place : place + rng.choice([1, 2, 5])] * rng.choice([1, 2, 40])
        elif kind == 2:
            parts[place], parts[other] = parts[other], parts[place]
        elif kind == 3:
            parts[place] = _argument(rng)
        elif kind == 4:
            parts[place:place] = [_argument(rng), *rng.choices(_CALLS, k=rng.randrange(3))]
        elif kind == 5:
            parts[place:place] = [b"h\0h\0\x86q\0"] * rng.choice([1, 10, 60])  # pairs of pairs: 2^n things
        else:
            parts[place] = raw(rng, parts[place])
        parts = parts or [b"."]
    return b"".join(parts) + data[end:]


def later_pickle(rng: random.Random, data: bytes) -> bytes:
    """As :func:`pickled`, of one of several pickles that follow each other."""
    start = 0
    for _ in range(rng.randrange(5)):
        start = max(place or 0 for _, _, place in pickletools.genops(data[start:])) + 1 + start
    return data[:start] + pickled(rng, data[start:])


def _argument(rng: random.Random) -> bytes:
    value = rng.choice([rng.choice(_NUMBERS), -rng.choice(_NUMBERS), _text(rng), *_VALUES])
    if isinstance(value, str):
        encoded = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(encoded)) + encoded
    return pickle.dumps(value, 2)[2:-1]


def zipped(inner: dict[str, Change]) -> Change:
    """Another content of an entry whose name ends so, in an archive that is sound; or an archive that is not."""

    def change(rng: random.Random, data: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as other:
            entries = archive.infolist()
            chosen = rng.choice([e for e in entries if any(e.filename.endswith(end) for end in inner)] or entries)
            for entry in entries:
                content, name = archive.read(entry), entry.filename
                if entry is chosen:
                    way = next((one for end, one in inner.items() if name.endswith(end)), raw)
                    content = rng.choice([way, way, way, raw])(rng, content)
                    chance = rng.random()
                    if chance < 0.05:
                        continue
                    name = name.rpartition("/")[0] + _text(rng).replace("\ud800", "") if chance < 0.1 else name
                other.writestr(name or "x", content, compress_type=entry.compress_type)
        return out.getvalue()

    return change


def tarred(inner: Change) -> Change:
    """Another content of a member, in an archive that is sound."""

    def change(rng: random.Random, data: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive, tarfile.open(fileobj=out, mode="w") as other:
            members = archive.getmembers()
            chosen = rng.choice(members)
            for member in members:
                file = archive.extractfile(member)
                content = file.read() if file else b""
                if member is chosen:
                    content = rng.choice([inner, raw])(rng, content)
                member.size = len(content)
                other.addfile(member, io.BytesIO(content))
        return out.getvalue()

    return change


def protobuf(rng: random.Random, data: bytes, depth: int = 0) -> bytes:
    """A message with a field left out, repeated, or with another content; lengths are right again."""
    parts, position = [], 0
    with suppress(IndexError):
        while position < len(data) and len(parts) < 10_000:
            start = position
            key, position = _varint(data, position)
            if key & 7 == 0:
                value, position = _varint(data, position)
                parts.append((key, value, b""))
            elif key & 7 == 2:
                length, position = _varint(data, position)
                parts.append((key, None, data[position : position + length]))
                position += length
            else:
                return raw(rng, data)
            if position > len(data) or position <= start:
                return raw(rng, data)
    if not parts:
        return raw(rng, data)
    place = rng.randrange(len(parts))
    key, value, content = parts[place]
    kind = rng.randrange(8)
    if kind == 0:
        del parts[place]
    elif kind == 1:
        parts[place:place] = [parts[place]] * rng.choice([1, 2, 40])
    elif kind == 2:
        parts[place] = (rng.choice([0, 8, 10, 16, 18, 26, 5 << 3 | 2, key ^ 8]), value, content)
    elif value is not None:
        parts[place] = (key, rng.choice(_NUMBERS) & ((1 << 64) - 1), b"")
    elif kind == 3:
        parts[place] = (key, None, _text(rng).encode("utf-8", "surrogatepass"))
    else:
        parts[place] = (key, None, protobuf(rng, content, depth + 1) if depth < 3 and kind > 4 else raw(rng, content))
    return b"".join(_field(*part) for part in parts)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _encoded(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _field(key: int, value: int | None, content: bytes) -> bytes:
    return _encoded(key) + (_encoded(len(content)) + content if value is None else _encoded(value))
