"""Integers are compared exactly, whatever their width, and against whatever number."""

import itertools
import json
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.comparison._metrics import BLOCK, Tolerance, measure

INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
EDGES = [
    *(0, 1, -1, 2**24, 2**31, 2**32, 2**52, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**53 + 77, 2**60, 2**60 + 1),
    *(2**62 + 255, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**64 - 2, -(2**53), -(2**53) - 1, -(2**63), -(2**63) + 1),
]
EXACT = Tolerance(0, 0)


def ones(dtype):
    """The edges that a dtype has, as Python's integers."""
    if dtype == "bool":
        return [0, 1]
    limits = np.iinfo(dtype)
    return [edge for edge in {*EDGES, limits.min, limits.max} if limits.min <= edge <= limits.max]


@pytest.mark.parametrize(("left", "right"), [*itertools.product(INTEGERS, INTEGERS)])
@pytest.mark.parametrize(
    "tolerance", [EXACT, Tolerance(0, 1), Tolerance(0, 76), Tolerance(1e-16, 0), Tolerance(0.5, 3)]
)
def test_any_two_integers(left, right, tolerance):
    pairs = list(itertools.product(ones(left), ones(right)))
    x, y = (np.array([pair[side] for pair in pairs], dtype) for side, dtype in enumerate((left, right)))
    sums = measure(x, y, tolerance)
    distances = [abs(a - b) for a, b in pairs]
    bounds = [tolerance.atol + tolerance.rtol * float(abs(b)) for _, b in pairs]
    assert sums.unequal == sum(distance > 0 for distance in distances)
    assert sums.close == sum(distance <= bound for distance, bound in zip(distances, bounds, strict=True))
    assert sums.max_abs == max(distances)
    assert sums.worst == (distances.index(max(distances)),)
    assert (sums.worst_original, sums.worst_target) == pairs[sums.worst[0]]


@pytest.mark.parametrize(
    ("left", "right"), [*itertools.product(("int64", "uint64"), ("float32", "float64", "complex128"))]
)
@pytest.mark.parametrize("swapped", [False, True])
def test_an_integer_against_a_floating_number(left, right, swapped):
    floats = [0.0, 0.5, -0.25, 2.0**24, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 2.0**64, 1e300, 2.0**52 + 0.5]
    floats = [value for value in floats if abs(value) < 1e30 or right != "float32"]
    floats = [float(value) for value in np.array(floats).astype(right).real]
    pairs = list(itertools.product(ones(left), floats))
    x, y = np.array([a for a, _ in pairs], left), np.array([b for _, b in pairs], right)
    if swapped:
        x, y = y, x
    distances = [abs(a - Fraction(b)) for a, b in pairs]
    for atol in (0.0, 1.0, 0.5, 77.0, 2.0**53):
        sums = measure(x, y, Tolerance(0, atol))
        assert sums.unequal == sum(distance > 0 for distance in distances)
        assert sums.close == sum(distance <= Fraction(atol) for distance in distances), atol


@pytest.mark.parametrize("dtype", ["int4", "uint4", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_an_integer_against_a_number_of_few_bits(dtype):
    small = np.array([0, 1, 2, 3], np.float32).astype(getattr(ml_dtypes, dtype))
    large = np.array([2**53 + 1, 1, 2**60 + 3, 2], np.int64)
    for x, y in ((large, small), (small, large)):
        sums = measure(x, y, Tolerance(0, 2**53))
        assert (sums.unequal, sums.close, sums.max_abs) == (3, 2, 2**60 + 1)
        assert sums.worst == (2,)


def test_nan_and_infinity_beside_large_integers():
    x, y = np.array([2**53 + 1] * 4), np.array([np.nan, np.inf, -np.inf, 2.0**53])
    sums = measure(x, y, Tolerance(0, 1))
    assert (sums.close, sums.unequal, sums.nan_target, sums.inf_target) == (1, 4, 1, 2)
    assert sums.worst == (0,)


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-2000, 2000)), min_size=1, max_size=20),
    st.integers(0, 3000) | st.floats(0, 3000),
)
@settings(deadline=None, max_examples=200)
def test_what_would_be_enough_is(numbers, atol):
    x = np.array([number for number, _ in numbers])
    y = np.array([min(max(number + step, -(2**63)), 2**63 - 1) for number, step in numbers])
    exact = [abs(int(a) - int(b)) for a, b in zip(x, y, strict=True)]
    sums = measure(x, y, Tolerance(0, atol))
    assert sums.close == sum(distance <= atol for distance in exact)
    for rtol in (0.0, 1e-17, 1e-3):
        enough = measure(x, y, Tolerance(rtol, 0)).required_atol(np.dtype(np.float64))
        assert measure(x, y, Tolerance(rtol, enough)).close == x.size


def test_one_in_many_blocks_and_pieces(tmp_path):
    x = np.full(3 * BLOCK + 5, 2**53)
    y = x.copy()
    y[2 * BLOCK + 7] += 1
    y[2 * BLOCK + 9] += 2
    sums = measure(x, y, EXACT)
    assert (sums.unequal, sums.worst, sums.max_abs) == (2, (2 * BLOCK + 9,), 2)
    assert (sums.worst_original, sums.worst_target) == (2**53, 2**53 + 2)


def test_the_worst_of_several_blocks_is_told_apart_exactly():
    x = np.zeros(2 * BLOCK, np.int64)
    y = x.copy()
    y[3], y[BLOCK + 4] = 2**53, 2**53 + 1
    sums = measure(x, y, EXACT)
    assert sums.worst == (BLOCK + 4,)
    assert isinstance(sums.metrics(np.dtype(float)).max_abs, float)


def test_a_report_shows_the_integers_as_they_are(tmp_path):
    report = ts.compare({"x": np.array([2**53])}, {"x": np.array([2**53 + 1])}, rtol=0, atol=0)
    assert not report
    assert "9007199254740992" in report.table(wide=True)
    assert "9007199254740993" in report.table(wide=True)
    (row,) = json.loads(report.to_json())["rows"]
    assert (row["worst_original"], row["worst_target"]) == (2**53, 2**53 + 1)
    assert ts.compare({"x": np.array([2**53])}, {"x": np.array([2**53 + 76])}, rtol=0, atol=100)
    assert not ts.compare({"x": np.array([2**53 + 1])}, {"x": np.array([2.0**53])}, rtol=0, atol=0)
