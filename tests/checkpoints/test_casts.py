"""A cast changes no element beyond rounding without a word: counted, in the row, and the report is false."""

import itertools
import json
import math
import warnings

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core.cli import cli
from ts_core.contract import casting
from ts_core.contract.dtypes import dtype_of, is_native
from ts_core.contract.transforms import InsertAxis
from ts_core.errors import ConversionWarning

INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "int4", "uint4")
FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz")
COMPLEX = ("complex64", "complex128")
ALL = (*INTEGERS, *FLOATS, *COMPLEX)

# (elements, cast, how many are lost)
EXAMPLES = [
    (np.array([1e30, 1], ml_dtypes.bfloat16), "float16", 1),
    (np.array([2**32, 5]), "int32", 1),
    (np.array([300, 1.5, -2, 3], "f4"), "int8", 2),  # wraps; a fraction
    (np.array([1e6, 1, np.nan, np.inf], "f4"), "float8_e4m3fn", 2),  # which has no infinity: NaN instead
    (np.array([1e6, 1, np.nan, np.inf], "f4"), "float8_e5m2", 1),
    (np.array([2.0**63, -(2.0**63), 2.0**62]), "int64", 1),
    (np.array([np.nan, np.inf, 7]), "int32", 2),
    (np.array([-1, 1]), "uint64", 1),
    (np.array([2**63], "u8"), "int64", 1),
    (np.array([70000, 65519, 65520]), "float16", 2),
    (np.array([2, 1, 0, -1]), "bool", 2),
    (np.array([0.5, 1, 0]), "bool", 1),
    (np.array([1 + 2j, 3, 0]), "float32", 1),
    (np.array([1e300 + 1j, 1 + 1e300j, 1e300 + 1e300j, 1]), "complex64", 3),
    (np.array([9, -8, 7]), "int4", 1),
    (np.array(1e30), "float16", 1),
    (np.array([3.4028235e38, 1], "f4"), "bfloat16", 1),  # rounds to more than bfloat16 has
    (np.array([-1.0, 2]), "float8_e8m0fnu", 1),  # which has no sign
    # no more than rounded
    (np.array([0.1, 1e-30, -0.0]), "float16", 0),
    (np.array([2**53 + 1]), "float64", 0),
    (np.array([np.nan, np.inf, -np.inf]), "float16", 0),
    (np.zeros((0, 3)), "int8", 0),
    (np.array([1, 2], ml_dtypes.int4), "int8", 0),
]


@pytest.mark.parametrize(("array", "dtype", "lost"), EXAMPLES)
def test_examples(array, dtype, lost):
    found, count = casting.cast(array, dtype_of(dtype))
    assert (found.dtype, found.shape, count) == (dtype_of(dtype), array.shape, lost)


def numbers(dtype):
    """Elements that are interesting to cast, as many of them as the dtype has."""
    whole = [sign * (2**bits + step) for bits in range(65) for step in (-1, 0, 1) for sign in (-1, 1)]
    parts = [0.5, -0.25, 1.5, 240.0, 448.0, 464.1, 65504.0, 65519.9, 65520.0, 3.39e38, 3.4028235e38, 1e39, 1e300, 1e-9]
    special = [math.nan, math.inf, -math.inf]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dtype.kind == "c":
            return np.array([complex(a, b) for a in (*parts, *special) for b in (0, 1, 1e300, math.nan)]).astype(dtype)
        limits = casting._limits(dtype)
        if limits is not None:
            inside = [number for number in whole if limits[0] <= number <= limits[1]]
            return np.array(inside, "u8" if limits[1] > 2**63 else "i8").astype(dtype)
        return np.array([*map(float, whole), *parts, *(-part for part in parts), *special]).astype(dtype)


def lost(before, after):
    """One element, in Python's own numbers: the definition, word for word."""
    if isinstance(before, complex) and not isinstance(after, complex):
        return lost(before.real, after) or before.imag != 0
    if isinstance(before, complex) or isinstance(after, complex):
        before, after = complex(before), complex(after)
        return lost(before.real, after.real) or lost(before.imag, after.imag)
    if isinstance(after, float):  # overflow, or an infinity or NaN that is another one now
        return math.isfinite(before) != math.isfinite(after) or math.isnan(before) != math.isnan(after)
    return not math.isfinite(before) or before != after


def python(element, dtype):
    kind = complex if dtype.kind == "c" else int if casting._limits(dtype) is not None else float
    return kind(element)


@pytest.mark.parametrize("old", ALL)
def test_against_the_definition(old):
    before = numbers(dtype_of(old))
    for new in ALL:
        after, count = casting.cast(before, dtype_of(new))
        pairs = [(python(b, before.dtype), python(a, after.dtype)) for b, a in zip(before, after, strict=True)]
        # What a processor makes of a float that an integer cannot hold is not defined; it may be the number, rounded.
        limits = casting._limits(after.dtype)
        expected = sum(
            lost(b, a) or bool(limits and not isinstance(b, complex) and not limits[0] <= b <= limits[1])
            for b, a in pairs
        )
        assert count == expected, new


@pytest.mark.parametrize("seed", range(20))
def test_any_layout_is_counted_alike(seed, monkeypatch):
    monkeypatch.setattr(casting, "_BLOCK", 7)
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(0, 5)))
    array = np.where(rng.random(shape) < 0.3, 1e30, 1.0).astype(np.float32)
    expected = int((array > 1).sum())
    for view in (array, array.T, array[..., ::-1] if shape else array, np.asfortranarray(array), array.astype(">f4")):
        assert casting.cast(view, np.dtype(np.float16))[1] == expected


@pytest.fixture
def source(tmp_path):
    tensors = {"big": np.array([1e6, 1, np.inf], np.float32), "fine": np.ones(2, np.float32), "n": np.array([2**40])}
    ts.save_checkpoint(tensors, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_the_report_is_false_and_says_where_and_how_many(source, tmp_path):
    with pytest.warns(ConversionWarning, match=r"b\.npz: cast: elements do not fit .*big \(1\)"):
        report = ts.convert(source, tmp_path / "b.npz", cast={"float32": "float16"}, progress=False)
    assert not report
    assert {row.source: (bool(row), row.changed) for row in report} == {
        **{"big": (False, 1), "fine": (True, 0), "n": (True, 0)}
    }
    (row,) = report.failed
    assert row.status == "Values changed; float32->float16: 1 of 3 elements do not fit into float16"
    assert row.status in str(report)
    assert [record["changed"] for record in json.loads(report.to_json())["rows"]] == [1, 0, 0]
    assert ts.open_checkpoint(tmp_path / "b.npz")["big"].tolist() == [np.inf, 1, np.inf]


def test_it_may_be_allowed(source, tmp_path):
    casts = {"float32": "float16", "int64": "int32"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = ts.convert(source, tmp_path / "b.npz", cast=casts, allow_overflow=True, progress=False)
    assert report
    assert [row.changed for row in report] == [1, 0, 1]
    assert "1 of 1 elements do not fit into int32" in str(report)


@pytest.mark.parametrize("rows", [3, 3000])
def test_a_cast_behind_a_layout_change_and_in_blocks(rows, tmp_path):
    """Every element of a large tensor counts, whatever the order in which it is read."""
    weight = np.ones((rows, 2, 900), np.float32)
    weight[1, 1, ::2] = 1e9
    found = ts.WeightMap.from_pair({"c.weight": "c.weight"}, {"c.weight": InsertAxis(2).to_json()})
    source = {"c.weight": np.asfortranarray(weight)}
    casts = {"float32": "float16"}
    with pytest.warns(ConversionWarning):
        report = ts.convert(source, tmp_path / "b.npz", weight_map=found, cast=casts, progress=False)
    assert [row.changed for row in report] == [450]


def test_a_cast_that_fits_nothing_is_said(source, tmp_path):
    with pytest.warns(ConversionWarning, match="cast: no tensor is bfloat16"):
        report = ts.convert(source, tmp_path / "b.npz", cast={"bfloat16": "float32"}, progress=False)
    assert report
    assert "cast: no tensor is bfloat16" in report.notes


def test_packed_numbers_are_not_cast(tmp_path):
    pytest.importorskip("ts_mindspore.checkpoints")
    tensors = {"a": np.zeros(2, dtype_of("qint4x2")), "b": np.ones(2, np.float32)}
    for cast in ({"qint4x2": "float32"}, {"float32": "qint4x2"}):
        with pytest.raises(ts.errors.ArgumentError, match="packs two numbers into a byte"):
            ts.convert(tensors, tmp_path / "x.ckpt", cast=cast)


@pytest.mark.parametrize(
    ("cast", "reason"),
    [
        ("float32", "cast must be a dict"),
        (["float32"], "cast must be a dict"),
        ({"float32": 3}, "unknown dtype 3"),
        ({3: "float32"}, "unknown dtype 3"),
        ({"float32": None}, "unknown dtype None"),
        ({"float32": "(2)f4("}, "unknown dtype"),
        ({"float32": "str"}, "unknown dtype 'str'"),
    ],
)
def test_what_is_no_cast(cast, reason, source, tmp_path):
    with pytest.raises(ts.errors.TsError, match=reason):
        ts.convert(source, tmp_path / "b.npz", cast=cast, progress=False)
    assert not (tmp_path / "b.npz").exists()


def test_the_command(source, tmp_path):
    def run(*more):
        arguments = ["convert", source, tmp_path / "b.npz", "--cast", "float32=float16", *more]
        return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)

    with pytest.warns(ConversionWarning):
        refused = run()
    assert refused.return_value == 1
    assert "Values changed" in refused.output
    allowed = run("--allow-overflow")
    assert allowed.return_value == 0
    assert "1 of 3 elements do not fit into float16" in allowed.output


@pytest.mark.parametrize("framework", ["torch", "mindspore"])
def test_a_transfer_into_a_narrower_network(framework):
    module = pytest.importorskip(framework)
    if framework == "torch":
        net = module.nn.Linear(2, 1, bias=False).half()
    else:
        net = module.nn.Dense(2, 1, has_bias=False, dtype=module.float16)
    weights = {"weight": np.array([[1e6, 1]], np.float32)}
    with pytest.warns(ConversionWarning, match=r"the dtypes of the network cannot hold .*weight \(1\)"):
        report = ts.transfer(weights, net)
    assert not report
    (row,) = report
    assert (row.changed, row.status) == (
        1, "Values changed; float32->float16: 1 of 2 elements do not fit into float16",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = ts.transfer(weights, net, allow_overflow=True)
        assert report
        assert report.rows[0].changed == 1
        fitting = ts.transfer({"weight": np.array([[1.1, 1]], np.float64)}, net)
    assert fitting
    assert fitting.rows[0].status == "Consistent; float64->float16"
    with pytest.warns(ConversionWarning):
        loaded = ts.load_parameters(net, weights)
    assert not loaded
    assert loaded.changed == {"weight": 1}
    assert loaded.loaded == ("weight",)


def test_what_is_not_cast_is_not_looked_at(source, tmp_path, monkeypatch):
    """Nor what a wider dtype holds in any case."""
    monkeypatch.setattr(casting, "_count", None)
    assert ts.convert(source, tmp_path / "b.npz", progress=False)
    assert ts.convert(source, tmp_path / "b.npz", cast={"float32": "float64", "int64": "float32"}, progress=False)
    native = [name for name in ALL if is_native(dtype_of(name))]
    for old, new in itertools.product(native, native):
        if np.can_cast(dtype_of(old), dtype_of(new), "safe"):
            assert casting.holds_all(dtype_of(old), dtype_of(new))
