"""Where windows come to lie: at which sizes of the input two ways of padding and of rounding put them differently."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ts_core.contract.layers import KINDS
from ts_core.contract.settings import SAME, SAME_LOWER

Settings = Mapping[str, Any]

#: Settings that together say where windows lie, in kinds of these families.
WINDOW_SETTINGS = ("pads", "ceil_mode")
_READ = ("kernel_size", "stride", "dilation", "count_include_pad", *WINDOW_SETTINGS)
_FAMILIES = frozenset(["conv", "max_pool", "avg_pool", "unfold"])
_SIZES = 97  # the sizes that are tried: from 1 to here
_SOME = 4  # sizes that are named where no rule fits


def has_windows(kind: str) -> bool:
    """Whether :func:`apart` can tell of this kind."""
    return kind in KINDS and KINDS[kind].family in _FAMILIES and KINDS[kind].dimensions is not None


class Apart(NamedTuple):
    """At which sizes of the input the windows of two layers lie differently.

    Attributes:
        ever: at some size.
        always: at every size at which there are windows.
        sizes: in words; empty where they always or never do.
    """

    ever: bool
    always: bool
    sizes: str


def apart(kind: str, ours: Settings, theirs: Settings) -> Apart:
    """How the windows of two layers of a kind differ that are alike but for :data:`WINDOW_SETTINGS`."""
    return _apart(kind, _key(ours), _key(theirs))


def apart_at(kind: str, ours: Settings, theirs: Settings, sizes: Sequence[int]) -> bool:
    """Whether they differ at these sizes of the input, one for each axis of space."""
    return any(_lie(kind, ours, axis, size) != _lie(kind, theirs, axis, size) for axis, size in enumerate(sizes))


def _key(told: Settings) -> tuple[tuple[str, Any], ...]:
    return tuple((name, told[name]) for name in _READ if name in told)


@functools.lru_cache(maxsize=1024)  # a network has many layers, and few that differ
def _apart(kind: str, ours: tuple[tuple[str, Any], ...], theirs: tuple[tuple[str, Any], ...]) -> Apart:
    words, ever, always = [], False, False
    for axis in range(KINDS[kind].dimensions or 1):
        lies = [(n, _lie(kind, dict(ours), axis, n), _lie(kind, dict(theirs), axis, n)) for n in range(1, _SIZES)]
        reach = max(_reach(dict(told), axis) for told in (ours, theirs))
        at = [n for n, one, other in lies if one != other]
        # At sizes of hardly a window anything may happen; what is said is of those that networks have.
        valid = [n for n, one, other in lies if (one or other) and n >= 2 * reach]
        usual = [n for n in at if n >= 2 * reach]
        ever |= bool(at)
        always |= bool(usual) and usual == valid
        if usual and usual != valid:
            words.append(_words(usual, valid))
        elif at and not usual:
            words.append(_listed(at))
    return Apart(ever, always, "" if always else " or ".join(dict.fromkeys(words)))


def _reach(told: Settings, axis: int) -> int:
    """How many elements a window spans."""
    return _at(told.get("dilation", 1), axis) * (_at(told.get("kernel_size", 1), axis) - 1) + 1


def _lie(kind: str, told: Settings, axis: int, size: int) -> tuple[int, ...] | None:
    """Where the windows along one axis begin, how many there are, and what the last one counts; None when none fits."""
    step, reach = _at(told.get("stride", 1), axis), _reach(told, axis)
    pads = told.get("pads", ((0, 0),) * (axis + 1))
    if isinstance(pads, str):
        if pads not in (SAME, SAME_LOWER):
            return None
        count = -(-size // step)
        total = max((count - 1) * step + reach - size, 0)
        begin = total - total // 2 if pads == SAME_LOWER else total // 2
        end = total - begin
    else:
        begin, end = pads[axis]
        room = size + begin + end - reach
        rounds_up = bool(told.get("ceil_mode"))
        count = (-(-room // step) if rounds_up else room // step) + 1
        if rounds_up and (count - 1) * step >= size + begin:  # no window begins behind the end
            count -= 1
        if count < 1:
            return None
    if KINDS[kind].family == "max_pool" and reach == _at(
        told.get("kernel_size", 1), axis
    ):  # what is outside is no matter: only what lies in the windows
        starts = range(-begin, count * step - begin, step)
        return tuple(edge for start in starts for edge in (max(start, 0), min(start + reach, size)))
    if KINDS[kind].family != "avg_pool" or told.get("count_include_pad") is False:
        return begin, count
    return begin, count, min((count - 1) * step - begin + reach, size + end)


def _at(value: Any, axis: int) -> int:
    return int(value[axis]) if isinstance(value, tuple) else int(value)


def _words(at: Sequence[int], valid: Sequence[int]) -> str:
    """Sizes by a rule, where one fits: even, odd, those that leave a remainder."""
    for divisor in range(2, 17):
        left = sorted({n % divisor for n in at})
        if len(left) < divisor and list(at) == [n for n in valid if n % divisor in left]:
            if divisor == 2:
                return "odd sizes" if left[0] else "even sizes"
            return f"sizes that leave {', '.join(map(str, left))} when divided by {divisor}"
    return _listed(at)


def _listed(at: Sequence[int]) -> str:
    more = ", ..." if len(at) > _SOME else ""
    return f"sizes {', '.join(map(str, at[:_SOME]))}{more}"
