"""How much two names have in common: by words and numbers, never by characters.

``downsample`` is ``down_sample``; ``layer1.0`` is near ``layers.0.blocks.0``; ``q`` abbreviates ``query``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from itertools import pairwise

_PIECES = re.compile(r"\d+(?:x\d+)+|\d[dD](?![a-zA-Z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Words behind which a number is a size, and no place in an order: `kernel_3`, `ch64`, `rate12`.
_SIZE_WORDS = frozenset(
    [
        *("k", "ks", "kernel", "ksize", "stride", "str", "dil", "dilation", "rate", "pad", "padding"),
        *("channels", "ch", "chan", "dim", "dims", "width", "filters", "size", "px"),
    ]
)
# Letters that count, behind something else: `conv_a`, `branch2b`.
_COUNTING_LETTERS = frozenset("abcde")
# Letters that abbreviate a size where something stands before them, `bn_s2`, or beside them, `k3s2`.
_SIZE_LETTERS = frozenset("kscdpgrfwh")

# Words that people of the field use for one thing. A name that uses one of them is near to a name that uses another.
_SYNONYMS = (
    ("fc", "linear", "dense", "proj", "projection"),
    ("bn", "norm", "ln", "batchnorm", "layernorm", "normalization"),
    ("attn", "attention", "mha"),
    ("mlp", "ffn", "feedforward"),
    ("head", "classifier", "fc"),
    ("downsample", "shortcut", "skip", "residual", "identity", "proj", "projection"),
    ("reduce", "squeeze", "down"),
    ("expand", "excite", "excitation", "up"),
    ("embed", "embedding", "embeddings", "emb"),
    ("kernel", "weight"),
)
_GROUPS: dict[str, frozenset[int]] = {}
for _number, _group in enumerate(_SYNONYMS):
    for _word in _group:
        _GROUPS[_word] = _GROUPS.get(_word, frozenset()) | {_number}


# What wrappers put before every name: data parallelism, compilation.
_WRAPPERS = ("module.", "_orig_mod.")


def wrapper_prefix(names: Iterable[str]) -> str:
    """What wrappers put before every one of these names; empty when they did not."""
    names = list(names)
    prefix = ""
    while found := next((w for w in _WRAPPERS if names and all(n.startswith(prefix + w) for n in names)), None):
        prefix += found
    return prefix


def wrapper_note(prefix: str) -> str:
    """What to say to the user of such a prefix."""
    return f"every name begins with {prefix!r}, which a wrapper put there; it is left out"


@lru_cache(maxsize=65536)
def tokens(component: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words and the numbers of one component of a path: ``"conv4_1"`` → (("conv",), (4, 1)).

    Numbers that are sizes, and letters that count, are none of these: ``"c1x1_a"`` → (("c",), ()), ``"conv2d_k3"`` →
    (("conv",), ()).
    """
    words: list[str] = []
    counted: list[int] = []
    sizes = _sizes(component)
    for found in _PIECES.finditer(component):
        piece = found.group().lower()
        if found.start() in sizes or not (piece.isalpha() or piece.isdigit()):
            continue
        if piece.isdigit():
            counted.append(int(piece))
        else:
            words.append(piece)
    return tuple(words), tuple(counted)


def _sizes(component: str) -> set[int]:
    """Where in a component the words and numbers stand that tell a size, or a letter that counts."""
    pieces = list(_PIECES.finditer(component))
    counting = {last.start() for last in pieces[1:] if last.group().lower() in _COUNTING_LETTERS}
    letters = [
        (word.start(), number.start())
        for word, number in pairwise(pieces)
        if number.group().isdigit() and word.end() == number.start() and word.group().lower() in _SIZE_LETTERS
    ]
    found = set() if len(letters) == len(pieces) / 2 == 1 else {place for both in letters for place in both}
    for word, number in pairwise(pieces):
        if number.group().isdigit() and word.group().lower() in _SIZE_WORDS:
            found |= {word.start(), number.start()}
    return found | counting


@lru_cache(maxsize=65536)
def words(path: str) -> frozenset[str]:
    """The words of a path, those of one component joined: ``"a.down_sample.0"`` → {"a", "downsample"}."""
    return frozenset(filter(None, ("".join(tokens(component)[0]) for component in path.split("."))))


@lru_cache(maxsize=65536)
def numbers(path: str) -> tuple[int, ...]:
    """The numbers of a path in order, without those that are sizes."""
    return tuple(number for component in path.split(".") for number in tokens(component)[1])


@lru_cache(maxsize=65536)
def sizes(path: str) -> tuple[str, ...]:
    """What a path tells of sizes, and by letters that count: ``"conv3x3.bn_s2_a"`` → ("3x3", "s", "2", "a")."""
    return tuple(
        found.group().lower()
        for component in path.split(".")
        for told in (_sizes(component),)
        for found in _PIECES.finditer(component)
        if found.start() in told or not (found.group().isalpha() or found.group().isdigit())
    )


def spelling(path: str) -> tuple[object, ...]:
    """All that a path says, whatever separates it: two paths with the same one are called the same."""
    return words(path), numbers(path), sizes(path)


@lru_cache(maxsize=65536)
def nearness(a: str, b: str) -> float:
    """How near two words are, from 0 to 1: equal, abbreviated, used alike, or one inside the other."""
    if a == b:
        return 1.0
    if _GROUPS.get(a, frozenset()) & _GROUPS.get(b, frozenset()):
        return 0.7
    short, long = sorted((a, b), key=len)
    if long.startswith(short):
        return 0.6
    return 0.4 if len(short) > 2 and short in long else 0.0


def overlap(a: Collection[str], b: Collection[str]) -> float:
    """How much two sets of words have in common, from 0 to 1."""
    if not a or not b:
        return 0.0
    forth = sum(max(nearness(x, y) for y in b) for x in a)
    back = sum(max(nearness(x, y) for x in a) for y in b)
    return (forth + back) / (len(a) + len(b))


def distinguishing(paths: Iterable[str]) -> list[frozenset[str]]:
    """The words of each path that not all of the paths have."""
    found = [words(path) for path in paths]
    common = frozenset.intersection(*found) if found else frozenset()
    return [each - common for each in found]


def prefix_changer(prefixes: Mapping[str, str]) -> Callable[[str], str]:
    """A function that exchanges the prefix of a name, at a dot: of those that fit, the longest."""
    longest_first = sorted(prefixes, key=len, reverse=True)

    def change(name: str) -> str:
        for old in longest_first:
            stem = old.rstrip(".")
            if name == stem or name.startswith(f"{stem}.") or not stem:
                new = prefixes[old].rstrip(".")
                return f"{new}.{name[len(stem) :].lstrip('.')}".strip(".")
        return name

    return change
