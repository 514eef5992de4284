"""What stands for the objects of a pickle that is not run: names, stubs, and how much of them a file may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ts_core.errors import Told

Builder = Callable[..., object]

_KEY_DEPTH = 8  # of tuples in tuples, as the key of a dictionary
_LARGE = 1 << 64  # integers from here on can be made to have equal hashes, as many as one likes
_LONGEST_TEXT = 80  # characters that :func:`brief` shows
_AT_LEAST, _EACH = 1 << 18, 16  # steps: of any pickle; and for each of its bytes
_MOST_DIMENSIONS = 64


class MalformedError(Told, ValueError):
    """A pickle, or what it describes, is damaged or means something that no checkpoint needs."""


class Budget:
    """The work that a pickle may ask for beyond one step for each of its instructions: so much for each of its bytes.

    A few bytes can name a thing again that is large, and have it copied or hashed: what grows with the thing is paid
    for here.
    """

    __slots__ = ("_alike", "left")

    def __init__(self, size: int) -> None:
        self.left = _AT_LEAST + _EACH * size
        self._alike = 0

    def spend(self, steps: int) -> None:
        """Take so many steps. Raises MalformedError when none are left."""
        self.left -= steps
        if self.left < 0:
            raise MalformedError("the pickle asks for more work than a file of its size can need")

    def spend_on_key(self) -> None:
        """Take what a key costs whose hash may have been made equal to those of all the keys before it."""
        self._alike += 1
        self.spend(self._alike)


@dataclass(frozen=True, slots=True, repr=False)
class Global:
    """The name of a class or function in a pickle. It is never imported, and cannot be called."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:_LONGEST_TEXT]

    def __repr__(self) -> str:
        return f"<{self}>"


class Stub:
    """What stands for an object of any class that has no builder: it keeps what the pickle gave it, and does nothing.

    Attributes:
        cls: the name of its class, or whatever the pickle "called".
        args: what it was called with.
        attributes: its attributes, if its state was a dictionary.
        state: its state otherwise.
        items: what a list would have received.
        entries: what a dictionary would have received.
    """

    __slots__ = ("args", "attributes", "cls", "entries", "items", "state")

    def __init__(self, cls: object, args: tuple[object, ...] = ()) -> None:
        self.cls = cls
        self.args = args
        self.attributes: dict[object, object] = {}
        self.state: object = None
        self.items: list[object] = []
        self.entries: dict[object, object] = {}

    def set_attributes(self, state: object, budget: Budget) -> None:
        """Keep what ``__setstate__`` would get: attributes, a pair of them (the second of slots), or anything else."""
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        if not all(part is None or isinstance(part, dict) for part in parts):
            self.state = state
            return
        for part in parts:
            if not isinstance(part, dict) or not part:
                continue
            if self.attributes:
                budget.spend(len(self.attributes) + len(part))
            self.attributes = {**self.attributes, **part} if self.attributes else part

    def append(self, item: object) -> None:
        """Keep an item."""
        self.items.append(item)

    def extend(self, items: Iterable[object]) -> None:
        """Keep items."""
        self.items.extend(items)

    def __setitem__(self, key: object, value: object) -> None:
        self.entries[key] = value

    def __repr__(self) -> str:
        return f"<{self.cls if isinstance(self.cls, Global) else 'object'}, not run>"


def brief(value: object, depth: int = 2) -> str:
    """A value of a pickle in a few words; only what is shown of it is looked at, however large it is."""
    if isinstance(value, str | bytes | bytearray):
        more = "..." if len(value) > _LONGEST_TEXT else ""
        return f"{value[:_LONGEST_TEXT]!r}{more}"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, tuple | list):
        if depth == 0:
            return "..."
        shown = ", ".join(brief(item, depth - 1) for item in value[:6])
        left, right = "()" if isinstance(value, tuple) else "[]"
        return f"{left}{shown}{', ...' if len(value) > 6 else ''}{right}"
    if isinstance(value, dict) and depth:
        some = [f"{brief(key, 0)}: {brief(item, depth - 1)}" for key, item in islice(value.items(), 4)]
        return f"{{{', '.join(some)}{', ...' if len(value) > 4 else ''}}}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {value.shape}"
    if value is None or isinstance(value, bool | int | float | complex | Global | Stub | np.number):
        return repr(value)
    return f"a {type(value).__name__}"


def integers(sizes: object) -> tuple[int, ...]:
    """A tuple of numbers, which the caller checks: a shape or stride."""
    if not isinstance(sizes, tuple | list):
        raise MalformedError("the shape or stride of a tensor is no tuple")
    if len(sizes) > _MOST_DIMENSIONS:
        raise MalformedError(f"a shape or stride of {len(sizes)} dimensions")
    return tuple(map(integer, sizes))


def integer(value: object) -> int:
    """A whole number of a size that a machine has."""
    if type(value) is not int or value.bit_length() > 64:
        raise MalformedError(f"the offset, shape or stride of a tensor is not made of whole numbers: {brief(value)}")
    return value


def checked_key(key: object, budget: Budget, depth: int = _KEY_DEPTH) -> object:
    """A key of a dictionary, or item of a set: some can be made to take forever to hash, or to tell from each other."""
    if isinstance(key, str | float | bytes | None) or (isinstance(key, int) and -_LARGE < key < _LARGE):
        return key
    if isinstance(key, tuple | frozenset):
        budget.spend(len(key) + 1)
        if depth == 0:
            raise MalformedError("a dictionary's key is a tuple of tuples without end")
        for part in key:
            checked_key(part, budget, depth - 1)
        if isinstance(key, frozenset):
            budget.spend_on_key()
    elif isinstance(key, int):
        budget.spend(key.bit_length() >> 6)
        budget.spend_on_key()
    elif isinstance(key, complex | np.complexfloating):
        budget.spend_on_key()
    elif isinstance(key, np.number | np.bool_):
        budget.spend(1)
    elif type(key).__hash__ not in (object.__hash__, Global.__hash__):
        raise MalformedError(f"a dictionary's key of type {type(key).__name__}")
    return key
