"""The alignment of least cost, against every alignment there is."""

import functools
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ts_core.comparison._alignment import align
from ts_core.errors import ArgumentError, ArgumentTypeError


def cost(pairs, original, target, delete, insert, replace):
    total = 0
    for i, j in pairs:
        if j is None:
            total += delete
        elif i is None:
            total += insert
        elif original[i] != target[j]:
            total += replace
    return total


def least(original, target, delete, insert, replace):
    """The textbook recursion."""

    @functools.cache
    def rest(i, j):
        if i == len(original):
            return insert * (len(target) - j)
        if j == len(target):
            return delete * (len(original) - i)
        together = rest(i + 1, j + 1) + (0 if original[i] == target[j] else replace)
        return min(together, rest(i + 1, j) + delete, rest(i, j + 1) + insert)

    return rest(0, 0)


ITEMS = st.lists(st.sampled_from([(1,), (2,), (2, 3)]), max_size=12)
COSTS = st.integers(0, 6) | st.sampled_from([0.5, 0.1, 2.25])


@given(ITEMS, ITEMS, COSTS, COSTS, COSTS)
@settings(deadline=None, max_examples=400)
def test_the_cost_is_the_least_there_is(original, target, delete, insert, replace):
    pairs = align(original, target, del_cost=delete, ins_cost=insert, rep_cost=replace)
    assert [i for i, _ in pairs if i is not None] == list(range(len(original)))
    assert [j for _, j in pairs if j is not None] == list(range(len(target)))
    wanted = least(tuple(original), tuple(target), delete, insert, replace)
    assert cost(pairs, original, target, delete, insert, replace) == pytest.approx(wanted)


SHORT = st.lists(st.integers(0, 2), max_size=6)


@given(SHORT, SHORT)
@settings(deadline=None, max_examples=200)
def test_among_equally_cheap_alignments_partners_come_earliest(original, target):
    pairs = align(original, target)
    matched = [pair for pair in pairs if None not in pair]
    equal = [(i, j) for i, j in itertools.product(range(len(original)), range(len(target))) if original[i] == target[j]]
    candidates = [
        list(chosen)
        for chosen in itertools.combinations(equal, len(matched))
        if all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(chosen))
    ]
    assert matched == min(candidates, default=[])


def test_leftovers_stand_where_they_belong():
    assert align("abcd", "acxd") == [(0, 0), (1, None), (2, 1), (None, 2), (3, 3)]
    assert align("ab", "b") == [(0, None), (1, 0)]
    assert align("a", "aa") == [(0, 0), (None, 1)]


def test_a_cheap_replacement_is_taken_and_a_forbidden_one_never():
    assert align("a", "b", rep_cost=1) == [(0, 0)]
    assert align("a", "b", rep_cost=math.inf) == [(0, None), (None, 0)]


def test_long_sequences():
    original = [i % 7 for i in range(1000)]
    target = [value for i, value in enumerate(original) if i % 10]
    pairs = align(original, target)
    assert cost(pairs, original, target, 1, 1, 5) == 100


@pytest.mark.parametrize("costs", [{"del_cost": -1}, {"ins_cost": math.inf}, {"rep_cost": math.nan}])
def test_impossible_costs(costs):
    with pytest.raises(ArgumentError, match=next(iter(costs))):
        align("a", "b", **costs)


def test_costs_that_are_no_numbers():
    with pytest.raises(ArgumentTypeError, match="rep_cost"):
        align("a", "b", rep_cost="5")
