"""The numbers agree with NumPy's plain formulas, whatever the dtype, the layout and the values."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ts_core.comparison import _metrics as metrics
from ts_core.comparison._metrics import BLOCK, Tolerance, boxes, measure, working_dtype

DTYPES = [
    *("bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", ">f4", ">i2"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4),
]


def cast(array):
    return array.astype(working_dtype(array.dtype))


def plain(original, target, tolerance):
    """The contract, in NumPy's own words, without regard to time and memory."""
    x, y = np.atleast_1d(cast(original)), np.atleast_1d(cast(target))
    with np.errstate(all="ignore"):
        close = np.isclose(x, y, tolerance.rtol, tolerance.atol, tolerance.equal_nan)
        equal, distance = x == y, np.abs(x - y)
        if all(array.dtype.kind in "biu" for array in (original, target)):  # without rounding: Python's own integers
            exact = abs(np.atleast_1d(original).astype(object) - np.atleast_1d(target).astype(object))
            bound = tolerance.atol + tolerance.rtol * np.abs(y)
            close, equal, distance = (exact <= bound).astype(bool), (exact == 0).astype(bool), exact.astype(np.float64)
        if tolerance.equal_nan:
            equal = equal | (np.isnan(x) & np.isnan(y))
        delta = distance[~equal].astype(np.float64)
        wide = np.result_type(x, y, np.float64)
        a, b = x.astype(wide).ravel(), y.astype(wide).ravel()
        norms = np.sqrt([np.vdot(a, a).real, np.vdot(b, b).real])
        zero = norms < np.finfo(np.float32).tiny
        cosine = 1.0 if zero.all() else math.nan if zero.any() else np.vdot(a, b).real / norms[0] / norms[1]
        rmse = np.sqrt((delta**2).sum() / x.size) if x.size else 0.0
    return {
        "close": np.count_nonzero(close),
        "unequal": np.count_nonzero(~equal),
        "mean_abs": delta.mean() if delta.size else 0.0,
        "max_abs": delta.max() if delta.size else 0.0,
        "cosine": cosine if delta.size else 1.0,
        "rmse": rmse,
        "nan_original": np.isnan(x).sum(),
        "nan_target": np.isnan(y).sum(),
        "inf_original": np.isinf(x).sum(),
        "inf_target": np.isinf(y).sum(),
    }


DEFAULT = Tolerance()


def measured(original, target, tolerance=DEFAULT):
    dtype = np.result_type(working_dtype(original.dtype), working_dtype(target.dtype))
    return measure(original, target, tolerance).metrics(dtype)


def check(original, target, tolerance):
    result = measured(original, target, tolerance)
    for name, wanted in plain(original, target, tolerance).items():
        got = getattr(result, name)
        if isinstance(wanted, float | np.floating):
            assert got == pytest.approx(float(wanted), rel=1e-6, abs=1e-12 if name == "cosine" else 0, nan_ok=True), (
                name
            )
        else:
            assert got == wanted, name
    return result


def same(got, wanted, name):
    if isinstance(wanted, float):
        assert got == pytest.approx(wanted, rel=1e-6, nan_ok=True), name
    else:
        assert got == wanted or (got != got and wanted != wanted), name


@st.composite
def pairs(draw):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7))
    dtypes = draw(
        st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)) | st.sampled_from(DTYPES).map(lambda d: (d, d))
    )
    arrays = []
    for dtype in map(np.dtype, dtypes):
        if "ml_dtypes" in dtype.type.__module__:
            arrays.append(draw(hnp.arrays(np.float32, shape, elements=st.floats(-7, 7, width=32))).astype(dtype))
        elif dtype.kind == "c":  # NumPy 1 takes an infinite imaginary part for NaN
            parts = st.floats(-(2.0**60), 2.0**60, width=32)
            finite = st.builds(complex, parts, parts)
            arrays.append(draw(hnp.arrays(dtype, shape, elements=finite)))
        elif dtype == "f8":  # the squares of larger numbers are beyond float64
            usual = st.floats(-1e150, 1e150) | st.sampled_from([math.nan, math.inf, -math.inf])
            arrays.append(draw(hnp.arrays(dtype, shape, elements=usual)))
        else:
            arrays.append(draw(hnp.arrays(dtype, shape)))
    original, target = arrays
    if draw(st.booleans()) and dtypes[0] == dtypes[1]:  # mostly equal, as real pairs are
        target = np.where(draw(hnp.arrays(bool, shape)), original, target).astype(original.dtype)
    if draw(st.booleans()):
        original, target = original.T, target.T
    return original, target


TOLERANCES = st.builds(Tolerance, st.floats(0, 1), st.floats(0, 10), st.booleans())


@given(pairs(), TOLERANCES)
@settings(deadline=None, max_examples=300)
def test_any_two_arrays_agree_with_the_plain_formulas(pair, tolerance):
    check(*pair, tolerance)


@given(
    st.integers(0, 2**32),
    st.sampled_from(["float16", "float32", "float64"]),
    st.integers(1, 3 * BLOCK),
    st.sampled_from([0.0, 1e-7, 1e-4, 1e-2, 3.0]),
    TOLERANCES,
)
@settings(deadline=None, max_examples=40)
def test_random_vectors_of_several_blocks(seed, dtype, size, noise, tolerance):
    rng = np.random.default_rng(seed)
    original = rng.standard_normal(size)
    target = original + noise * rng.standard_normal(size) * (rng.random(size) < 0.5)
    result = check(original.astype(dtype), target.astype(dtype), tolerance)
    x, y = cast(original.astype(dtype)), cast(target.astype(dtype))
    if result.worst is not None:
        assert result.worst == (int(np.abs(x - y).argmax()),)
        assert result.worst_original == x[result.worst]
        assert result.worst_target == y[result.worst]
    unequal = (x != y) & (y != 0)
    wanted = float((np.abs(x - y)[unequal] / np.abs(y)[unequal]).max(initial=0))
    assert result.max_rel == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("value", [0.1, 0.3333, 0.7773, 1e-25, 1e25])
def test_sums_over_equal_elements_do_not_drift(value):
    original, target = np.full(100_000, value, np.float32), np.full(100_000, 1.01 * value, np.float32)
    check(original, target, Tolerance())


@pytest.mark.parametrize("value", [1.03, 1.97, 3.9])
def test_many_small_differences_count_beside_a_large_one(value):
    target = np.full(2048, value, np.float32)
    target[5] += 2**26  # the next float32 is 8 away
    check(np.zeros_like(target), target, Tolerance())


def test_a_difference_whose_square_is_too_small_for_float32_is_one():
    original = np.ones(5000, np.float32)
    original[3] = 1e-24
    target = original.copy()
    target[3] *= 2
    check(original, target, Tolerance())


@pytest.mark.parametrize("noise", [1e-7, 1e-5, 1e-3, 0.1, 1.0])
def test_the_cosine_tells_small_angles_apart(noise):
    rng = np.random.default_rng(0)
    original = rng.standard_normal(300_000).astype("f4")
    target = (original + noise * rng.standard_normal(original.size)).astype("f4")
    x, y = original.astype("f8"), target.astype("f8")
    x, y = x / math.sqrt(math.fsum(x * x)), y / math.sqrt(math.fsum(y * y))
    angle = math.fsum((x - y) ** 2) / 2  # 1 - cosine, without the loss of subtracting from 1
    assert 1 - measured(original, target, Tolerance()).cosine == pytest.approx(angle, rel=1e-5, abs=1e-15)


@given(pairs(), TOLERANCES)
@settings(deadline=None, max_examples=150)
def test_the_fast_way_and_the_plain_way_agree(pair, tolerance):
    original, target = pair
    usual = measured(original, target, tolerance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_fast", lambda *_: False)
        careful = measured(original, target, tolerance)
    for name in metrics.Metrics.__dataclass_fields__:
        same(getattr(usual, name), getattr(careful, name), name)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("rtol", [0.0, 1e-4, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_the_required_atol_is_enough_and_hardly_more(dtype, rtol, seed):
    rng = np.random.default_rng(seed)
    original = rng.standard_normal(1000).astype(dtype)
    target = (original + 0.01 * rng.standard_normal(1000)).astype(dtype)
    required = measured(original, target, Tolerance(rtol, 0.0)).required_atol
    x, y = cast(original), cast(target)
    assert np.isclose(x, y, rtol, required).all()
    if required:
        assert not np.isclose(x, y, rtol, required * (1 - 1e-5)).all()


def test_no_atol_is_enough_for_nan():
    one, nan = np.array([1.0, 2.0]), np.array([1.0, math.nan])
    result = measured(one, nan)
    assert result.required_atol == math.inf
    assert result.worst == (1,)
    assert (result.nan_original, result.nan_target, result.close) == (0, 1, 1)
    assert math.isnan(result.max_abs)
    assert math.isnan(result.cosine)
    assert measured(nan, nan, Tolerance(equal_nan=True)).cosine == 1


def test_equal_infinities_are_equal_and_opposite_ones_are_not():
    inf = np.array([math.inf, -math.inf, 1.0], np.float32)
    same = measured(inf, inf)
    assert (same.close, same.unequal, same.max_abs, same.cosine) == (3, 0, 0, 1)
    opposite = measured(inf, -inf)
    assert (opposite.close, opposite.max_abs, opposite.required_atol) == (0, math.inf, math.inf)


def test_neighbouring_large_integers_are_not_equal():
    result = measured(np.array([2**60, 5]), np.array([2**60 + 1, 5]))
    assert (result.unequal, result.worst) == (1, (0,))
    mixed = measured(np.array([2**64 - 1], np.uint64), np.array([-1], np.int64))
    assert mixed.unequal == 1


def test_unsigned_integers_do_not_wrap():
    assert measured(np.array([3], np.uint8), np.array([5], np.uint8)).max_abs == 2


@pytest.mark.parametrize(
    ("original", "target", "cosine"),
    [
        ([0, 0], [0, 0], 1),
        ([0, 0], [1, 0], math.nan),
        ([1, 0], [0, 1], 0),
        ([1, 0], [-1, 0], -1),
        ([3, 0], [1e-30, 0], 1),
    ],
)
def test_cosine(original, target, cosine):
    result = measured(np.array(original, np.float32), np.array(target, np.float32))
    assert result.cosine == pytest.approx(cosine, nan_ok=True)


def test_an_empty_pair_is_equal():
    result = measured(np.zeros((0, 3)), np.zeros((0, 3)))
    assert result.allclose
    assert (result.size, result.ratio, result.cosine, result.worst) == (0, 1.0, 1.0, None)


def test_huge_values_do_not_overflow_the_sums():
    large = np.full(BLOCK, 3e38, np.float32)
    result = measured(large, -large * np.float32(0.5))
    assert result.cosine == pytest.approx(-1)
    assert result.mean_abs == math.inf  # the difference itself is beyond float32
    tiny = np.full(10, 1e-30, np.float32)
    assert measured(tiny, 2 * tiny).rmse == pytest.approx(1e-30)


def layouts(array):
    yield array
    yield np.asfortranarray(array)
    padded = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    padded[..., ::2] = array
    yield padded[..., ::2]
    yield array[::-1].copy()[::-1]
    raw = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    yield unaligned
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen


def test_the_layout_does_not_matter():
    rng = np.random.default_rng(0)
    original = rng.standard_normal((70, 9, 130)).astype(np.float32)
    target = original + rng.standard_normal(original.shape).astype(np.float32) * 1e-3
    wanted = measured(original, target)
    index = np.unravel_index(np.abs(original - target).argmax(), original.shape)
    assert wanted.worst == tuple(map(int, index))
    for x in layouts(original):
        for y in layouts(target):
            result = measured(x, y)
            assert (result.close, result.unequal, result.worst) == (wanted.close, wanted.unequal, wanted.worst)
            assert result.cosine == pytest.approx(wanted.cosine, rel=1e-12)
            assert result.mean_abs == pytest.approx(wanted.mean_abs, rel=1e-6)


def test_the_first_of_equally_bad_elements_is_the_worst_one():
    target = np.zeros((300, 300), np.float32)
    original = target.copy()
    original[100, 5] = original[2, 299] = original[299, 0] = 1
    for x in layouts(original):
        assert measured(x, target.T).worst == (2, 299)


def test_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    original, target = rng.standard_normal((2, 40, 50))
    whole = measured(original, target)
    total = metrics.Sums()
    for corner, box in boxes(original.shape, 333):
        total.add(measure(original[box], target[box], DEFAULT, corner))
    parts = total.metrics(np.dtype(np.float64))
    for name in metrics.Metrics.__dataclass_fields__:
        same(getattr(parts, name), getattr(whole, name), name)


@given(hnp.array_shapes(min_dims=0, max_dims=4, max_side=9), st.integers(1, 50), st.data())
@settings(deadline=None, max_examples=100)
def test_boxes_cover_every_element_once(shape, limit, data):
    axes = st.integers(0, max(0, len(shape) - 1))
    first = data.draw(st.tuples() | st.tuples(axes, axes)) if shape else ()
    seen = np.zeros(shape, int)
    for corner, box in boxes(shape, limit, first):
        assert 0 < seen[box].size <= limit
        assert tuple(piece.start for piece in box) == corner
        seen[box] += 1
    assert (seen == 1).all()


def test_strings_and_objects_hold_no_numbers():
    for array in (np.array(["a"]), np.array([None]), np.zeros(2, "f4,i4"), np.array(["2020"], "M8[Y]")):
        assert working_dtype(array.dtype) is None
        with pytest.raises(TypeError, match="no numbers"):
            measure(array, array, DEFAULT)
