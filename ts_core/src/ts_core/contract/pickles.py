"""Pickles as data: what was written into them comes out, and nothing in them is run.

A pickle is a small program. This module runs that program with every way of calling something taken away: a class or
function that it names becomes a :class:`Global`, which is only a name; "calling" one looks it up in a table of builders
for plain values and arrays (:data:`BUILDERS`, to which a format adds its own), and yields an inert :class:`Stub`, which
keeps what it was given, for every other name.

The base is the pure Python unpickler of the standard library, not the one in C: its memo is a dictionary, so that a
memo index of 2^31 costs nothing, and each of its instructions can be replaced.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ts_core.contract.pickled_arrays import NumpyArray as NumpyArray
from ts_core.contract.pickled_builders import BUILDERS as BUILDERS
from ts_core.contract.pickled_builders import Charged as Charged
from ts_core.contract.pickled_builders import construct as construct
from ts_core.contract.pickled_values import Budget as Budget
from ts_core.contract.pickled_values import Builder as Builder
from ts_core.contract.pickled_values import Global as Global
from ts_core.contract.pickled_values import MalformedError as MalformedError
from ts_core.contract.pickled_values import Stub as Stub
from ts_core.contract.pickled_values import brief as brief
from ts_core.contract.pickled_values import checked_key
from ts_core.contract.pickled_values import integer as integer
from ts_core.contract.pickled_values import integers as integers

MAX_PICKLE = 64 << 20  # bytes: a state dict of 10,000 tensors needs two million
_CHUNK, _LARGEST_CHUNK = 1 << 10, 1 << 16  # bytes that are copied at once: at first, and at last
_VIEWED = 1 << 14  # bytes; from here on they stay where they are
_LONGEST_NAME = 1 << 10  # characters of a class, with its module


class PickleBytes:
    """The bytes of a pickle, as the unpickler wants to read them, and no more of them than is sensible."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._end = data, MAX_PICKLE
        self._chunk, self._start, self._at = b"", 0, 0  # a part of the data, where it begins, and what is read of it
        self._next = _CHUNK

    def __len__(self) -> int:
        return min(len(self._data), MAX_PICKLE)

    @property
    def position(self) -> int:
        """Of the next byte."""
        return self._start + self._at

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        at = self._at
        if at + size > len(self._chunk):
            self._start, at = self._start + at, 0
            if self._start + size > self._end < len(self._data):
                raise MalformedError(f"a pickle of more than {MAX_PICKLE >> 20} MiB, which is the most that is read")
            self._chunk = bytes(self._data[self._start : min(self._start + max(size, self._next), self._end)])
            self._next = min(2 * self._next, _LARGEST_CHUNK)
        self._at = min(at + size, len(self._chunk))
        return self._chunk[at : self._at]

    def view(self, size: int) -> memoryview:
        """The next bytes, where they are; they do not count as read."""
        start = self.position
        part = self._data[start : start + size]
        self._chunk, self._start, self._at = b"", start + len(part), 0
        self._end += len(part)
        return part

    def readinto(self, buffer: bytearray) -> int:
        """The next bytes, into a buffer."""
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def readline(self) -> bytes:
        """The next bytes up to the end of a line."""
        pieces: list[bytes] = []
        while not (pieces and pieces[-1].endswith(b"\n")):
            piece = self.read(256)
            if not piece:
                break
            end = piece.find(b"\n") + 1
            if end:
                self._at -= len(piece) - end
                piece = piece[:end]
            pieces.append(piece)
        return b"".join(pieces)


class SafeUnpickler(pickle._Unpickler):
    """Reads one pickle without running anything.

    Args:
        source: where the pickle is; afterwards at its end.
        persistent_load: makes something of the references to what is outside of the pickle.
        builders: what is built for which name.
        budget: the work that it may ask for.
    """

    # What the base class has and its published types do not tell.
    stack: list[Any]
    _unframer: Any
    append: Callable[[object], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {**pickle._Unpickler.dispatch}

    def __init__(
        self,
        source: PickleBytes,
        persistent_load: Callable[[Any], object] | None,
        builders: Mapping[Global, Builder],
        budget: Budget,
    ) -> None:
        super().__init__(source, encoding="utf-8", errors="surrogateescape")
        self._source, self._resolve, self._builders = source, persistent_load, builders
        self._budget = budget

    def find_class(self, module: str, name: str) -> Global:
        """A name, and only that."""
        if len(module) + len(name) > _LONGEST_NAME:
            raise MalformedError(f"the name of a class with {len(module) + len(name)} characters: {brief(name)}")
        return Global(module, name)

    def persistent_load(self, pid: object) -> object:
        """What a reference to something outside the pickle stands for."""
        if self._resolve is None:
            raise MalformedError("the pickle refers to something outside of it, and there is nothing")
        return self._resolve(pid)

    def get_extension(self, code: int) -> None:
        """Numbers that stand for classes are only known to the process that wrote them."""
        raise MalformedError(f"extension code {code}")

    def _instantiate(self, cls: object, args: list[object]) -> None:
        self.append(construct(cls, tuple(args), self._builders, self._budget))

    def _load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = construct(self.stack[-1], _arguments(args), self._builders, self._budget)

    dispatch[pickle.REDUCE[0]] = _load_reduce
    dispatch[pickle.NEWOBJ[0]] = _load_reduce

    def _load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        self._load_reduce()
        if keywords:
            if not isinstance(self.stack[-1], Stub):
                raise MalformedError("keyword arguments for what is built without any")
            self.stack[-1].set_attributes(keywords, self._budget)

    dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj_ex

    def _load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Stub):
            target.set_attributes(state, self._budget)
        elif hasattr(target, "set_state"):
            target.set_state(state)
        elif not isinstance(target, dict):
            raise MalformedError(f"attributes for a {type(target).__name__}")

    dispatch[pickle.BUILD[0]] = _load_build

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({checked_key(items[i], self._budget): items[i + 1] for i in range(0, len(items), 2)})

    dispatch[pickle.DICT[0]] = _load_dict

    def _load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        _entries(self.stack[-1])[checked_key(key, self._budget)] = value

    dispatch[pickle.SETITEM[0]] = _load_setitem

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        target = _entries(self.stack[-1])
        for i in range(0, len(items), 2):
            target[checked_key(items[i], self._budget)] = items[i + 1]

    dispatch[pickle.SETITEMS[0]] = _load_setitems

    def _load_append(self) -> None:
        value = self.stack.pop()
        _list(self.stack[-1]).append(value)

    dispatch[pickle.APPEND[0]] = _load_append

    def _load_appends(self) -> None:
        items = self.pop_mark()
        _list(self.stack[-1]).extend(items)

    dispatch[pickle.APPENDS[0]] = _load_appends

    def _load_additems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        if not isinstance(target, set):
            raise MalformedError("items for something else than a set")
        target.update(checked_key(item, self._budget) for item in items)

    dispatch[pickle.ADDITEMS[0]] = _load_additems

    def _load_frozenset(self) -> None:
        items = self.pop_mark()  # which is what `append` appends to afterwards
        self.append(frozenset(checked_key(item, self._budget) for item in items))

    dispatch[pickle.FROZENSET[0]] = _load_frozenset

    def _load_bytes(self, width: int) -> None:
        size = int.from_bytes(self.read(width), "little")
        framed = self._unframer.current_frame is not None
        self.append(self.read(size) if framed or size < _VIEWED else self._source.view(size))

    dispatch[pickle.BINBYTES[0]] = lambda self: self._load_bytes(4)
    dispatch[pickle.BINBYTES8[0]] = lambda self: self._load_bytes(8)

    def _load_bytearray(self) -> None:
        self._load_bytes(8)
        if isinstance(self.stack[-1], bytes):
            self.stack[-1] = bytearray(self.stack[-1])

    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray


def _arguments(args: object) -> tuple[object, ...]:
    if not isinstance(args, tuple):
        raise MalformedError("arguments that are no tuple")
    return args


def _entries(target: object) -> Any:
    if not isinstance(target, dict | Stub):
        raise MalformedError("entries for something else than a dictionary")
    return target


def _list(target: object) -> Any:
    if not isinstance(target, list | Stub):
        raise MalformedError("items for something else than a list")
    return target


def load(
    source: PickleBytes,
    persistent_load: Callable[[Any], object] | None = None,
    builders: Mapping[Global, Builder] = BUILDERS,
    budget: Budget | None = None,
) -> object:
    """The content of one pickle. Long strings of bytes in it, as arrays keep their elements, stay views of the source.

    Args:
        source: where the pickle is; afterwards at its end.
        persistent_load: makes something of the references to what is outside of the pickle.
        builders: what is built for which name; a builder gets the arguments, which come from the file: it checks them,
            and raises MalformedError. What it builds may have a method ``set_state`` for attributes that follow.
            A :class:`Charged` one gets the budget before them.
        budget: the work that the pickle may ask for; by default what one of its size can need.

    Raises:
        MalformedError: the pickle is damaged, or means something that no checkpoint needs.
    """
    try:
        content: object = SafeUnpickler(
            source, persistent_load, builders, Budget(len(source)) if budget is None else budget
        ).load()
    except (
        pickle.UnpicklingError,
        struct.error,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as problem:
        raise MalformedError(f"the pickle is damaged: {type(problem).__name__}: {problem}") from problem
    return content
