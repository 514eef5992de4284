"""Align two sequences at the least cost: the edit distance, with the alignment behind it.

The dynamic programme of Wagner and Fischer (1974), a row at a time in NumPy. Only every so-manyth row is kept; the rows
between are computed again when the alignment is read off, so that memory grows with n·√n instead of n².
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ts_core.errors import ArgumentError, ArgumentTypeError

Row = np.ndarray[Any, np.dtype[np.int64]]

_PRECISION = 1_000_000  # the denominators that costs are rounded to: exact integers make ties exact


def align(
    original: Sequence[Hashable],
    target: Sequence[Hashable],
    *,
    del_cost: float = 1,
    ins_cost: float = 1,
    rep_cost: float = 5,
) -> list[tuple[int | None, int | None]]:
    """The alignment of least total cost; equal items together cost nothing.

    Args:
        original: any items that can be compared and hashed.
        target: the same.
        del_cost: of an item of the original without a partner.
        ins_cost: of an item of the target without a partner.
        rep_cost: of two unequal items together; infinite to forbid it.

    Returns:
        Positions in `original` and `target`, None for no partner, both increasing. Among alignments of the same cost,
        the one whose first partners come earliest, and so on for the next.

    Raises:
        ArgumentTypeError: a cost is no number.
        ArgumentError: a cost is negative or NaN, or `del_cost` or `ins_cost` is infinite.
    """
    costs = _Costs.of(del_cost, ins_cost, rep_cost)
    codes: dict[Hashable, int] = {}
    ours, theirs = (
        np.array([codes.setdefault(item, len(codes)) for item in items], np.int64) for items in (original, target)
    )
    rows = _Rows(ours, theirs, costs)
    pairs: list[tuple[int | None, int | None]] = []
    j = 0  # everything before is aligned
    for i in range(len(ours)):
        here, below = rows[i], rows[i + 1]
        # With the target's item k as partner of i, the items j..k-1 have none. Is that as cheap as it gets?
        skipped = costs.insert * np.arange(len(theirs) - j)
        equal = theirs[j:] == ours[i]
        together = below[j + 1 :] + skipped + np.where(equal, 0, costs.replace)
        best = np.flatnonzero(together == here[j])
        if not best.size:
            pairs.append((i, None))
            continue
        matches = best[equal[best]]
        k = j + int(matches[0] if matches.size else best[0])
        pairs += [(None, skipped_item) for skipped_item in range(j, k)]
        pairs.append((i, k))
        j = k + 1
    return pairs + [(None, rest) for rest in range(j, len(theirs))]


class _Costs:
    """The three costs as integers, to a common denominator."""

    def __init__(self, delete: int, insert: int, replace: int) -> None:
        self.delete, self.insert, self.replace = delete, insert, replace

    @classmethod
    def of(cls, delete: object, insert: object, replace: object) -> _Costs:
        given = {"del_cost": delete, "ins_cost": insert, "rep_cost": replace}
        for name, cost in given.items():
            if isinstance(cost, bool) or not isinstance(cost, int | float):
                raise ArgumentTypeError(f"{name} must be a number, not {type(cost).__name__}")
            if math.isnan(cost) or cost < 0 or (math.isinf(cost) and name != "rep_cost"):
                raise ArgumentError(f"{name} must be a number of 0 or more, not {cost}")
        # A replacement dearer than a deletion and an insertion is never chosen, however dear it is.
        dearest = float(delete) + float(insert) + 1  # type: ignore[arg-type]
        exact = [Fraction(min(float(cost), dearest)).limit_denominator(_PRECISION) for cost in given.values()]  # type: ignore[arg-type]
        unit = math.lcm(*(cost.denominator for cost in exact))
        return cls(*(int(cost * unit) for cost in exact))


class _Rows:
    """Row i: for every j, the least cost of aligning the original from i on with the target from j on."""

    def __init__(self, ours: Row, theirs: Row, costs: _Costs) -> None:
        self._ours, self._costs = ours, costs
        self._theirs = theirs
        self._ramp = costs.insert * np.arange(len(theirs), -1, -1, dtype=np.int64)
        self._step = max(1, math.isqrt(len(ours)))
        self._kept: dict[int, Row] = {len(ours): self._ramp}
        self._block: dict[int, Row] = {}
        row = self._ramp
        for i in reversed(range(len(ours))):
            row = self._above(i, row)
            if i % self._step == 0:
                self._kept[i] = row

    def _above(self, i: int, below: Row) -> Row:
        """Row i from row i + 1."""
        together = below[1:] + np.where(self._theirs == self._ours[i], 0, self._costs.replace)
        row = below + self._costs.delete
        np.minimum(row[:-1], together, out=row[:-1])
        # Insertions: the least of row[k] + insert * (k - j) over all k >= j, as one running minimum from the right.
        row -= self._ramp
        return np.asarray(np.minimum.accumulate(row[::-1])[::-1] + self._ramp)

    def __getitem__(self, i: int) -> Row:
        if i in self._kept:
            return self._kept[i]
        if i not in self._block:
            end = min(len(self._ours), (i // self._step + 1) * self._step)
            row = self._kept[end]
            self._block = {}
            for k in reversed(range(i, end)):
                row = self._block[k] = self._above(k, row)
        return self._block[i]
