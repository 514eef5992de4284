"""What is built for the names in a pickle that are known: plain values of Python, arrays of NumPy.

The arguments of a builder come from the file: it checks them, and raises MalformedError.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from ts_core.contract.pickled_arrays import NUMPY_BUILDERS
from ts_core.contract.pickled_values import Budget, Builder, Global, MalformedError, Stub, checked_key

_SIZED = (list, tuple, dict, set, frozenset, str, bytes)  # what a builder may copy


@dataclass(frozen=True, slots=True)
class Charged:
    """A builder that gets the budget of the pickle before the arguments."""

    make: Builder

    def __call__(self, *args: object) -> object:
        """What it builds from the arguments, the budget being the first."""
        return self.make(*args)


def _ordered_dict(budget: Budget, pairs: object = ()) -> OrderedDict[object, object]:
    return OrderedDict(_pairs(pairs, budget))


def _plain_dict(budget: Budget, pairs: object = ()) -> dict[object, object]:
    return dict(_pairs(pairs, budget))


def _default_dict(budget: Budget, _factory: object = None, pairs: object = ()) -> dict[object, object]:
    return dict(_pairs(pairs, budget))  # nobody asks it for what it lacks


def _pairs(pairs: object, budget: Budget) -> Iterable[tuple[object, object]]:
    if isinstance(pairs, dict):
        return pairs.items()
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise MalformedError("a dictionary from something else than pairs")
    return [(checked_key(key, budget), value) for key, value in pairs]


def _set(make: Callable[[Iterable[object]], object], budget: Budget, items: object = ()) -> object:
    if not isinstance(items, list | tuple | set | frozenset):
        raise MalformedError("a set from something else than a list")
    return make(checked_key(item, budget) for item in items)


def _sequence(make: Callable[[Iterable[object]], object], items: object = ()) -> object:
    if not isinstance(items, list | tuple):
        raise MalformedError("a list from something else than a list")
    return make(items)


def _complex(real: object = 0.0, imaginary: object = 0.0) -> complex:
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise MalformedError("a complex number from something else than numbers")
    return complex(real, imaginary)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How protocols before 3 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise MalformedError("bytes in an unknown encoding")
    return text.encode("latin1")


def _bytes(make: Callable[[bytes], object], content: object = b"", encoding: object = None) -> object:
    """How protocols before 3 write no bytes at all, and those before 5 a bytearray."""
    if isinstance(content, str) and encoding in ("latin1", "latin-1"):
        content = content.encode("latin1")
    if not isinstance(content, bytes | bytearray) or encoding not in (None, "latin1", "latin-1"):
        raise MalformedError("bytes from something else than bytes")
    return make(bytes(content))


_BUILTINS: Mapping[str, Builder] = {
    **{"set": Charged(partial(_set, set)), "frozenset": Charged(partial(_set, frozenset))},
    **{"list": partial(_sequence, list), "tuple": partial(_sequence, tuple), "dict": Charged(_plain_dict)},
    **{"bytes": partial(_bytes, bytes), "bytearray": partial(_bytes, bytearray), "complex": _complex},
}
#: What is built for the names of Python and NumPy. A format of another framework adds its own to these.
BUILDERS: Mapping[Global, Builder] = {
    Global("collections", "OrderedDict"): Charged(_ordered_dict),
    Global("collections", "defaultdict"): Charged(_default_dict),
    Global("collections", "Counter"): Charged(_plain_dict),
    Global("_codecs", "encode"): _encode,
    **{Global(module, name): builder for module in ("builtins", "__builtin__") for name, builder in _BUILTINS.items()},
    **NUMPY_BUILDERS,
}
# These call what they are given first with the rest.
_CALLERS = frozenset(
    Global(module, name) for module in ("copyreg", "copy_reg") for name in ("_reconstructor", "__newobj__")
)


def construct(function: object, args: tuple[object, ...], builders: Mapping[Global, Builder], budget: Budget) -> object:
    """What a pickle gets when it "calls" something: the work of a builder, else a stub."""
    taken = 0
    while isinstance(function, Global) and function in _CALLERS and taken < len(args):
        function, taken = args[taken], taken + 1
    builder = builders.get(function) if isinstance(function, Global) else None
    if taken:
        args = args[taken:]
    if builder is None:
        return Stub(function, args)
    budget.spend(sum(len(arg) for arg in args if isinstance(arg, _SIZED)))
    return builder(budget, *args) if isinstance(builder, Charged) else builder(*args)
