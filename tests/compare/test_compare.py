"""``ts.compare`` over mappings: what is paired, what passes, and what a report says."""

import csv
import io
import json
import math

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError, ArgumentTypeError, ComparisonError


@pytest.fixture
def original():
    rng = np.random.default_rng(0)
    return {"fc.weight": rng.standard_normal((4, 3)).astype("f4"), "fc.bias": np.zeros(4, "f4"), "step": np.array(7)}


def test_equal_mappings_are_equal(original):
    report = ts.compare(original, {name: array.copy() for name, array in original.items()})
    assert report
    assert [row.status.value for row in report] == ["close"] * 3
    assert report.failed == ()
    assert report.summary == "3 of 3 close"


def test_a_difference_is_found_with_its_place_and_values(original):
    target = {**original, "fc.weight": original["fc.weight"].copy()}
    target["fc.weight"][2, 1] += 0.5
    report = ts.compare(original, target)
    assert not report
    (row,) = report.failed
    assert (row.name, row.status.value, row.metrics.worst) == ("fc.weight", "different", (2, 1))
    assert row.metrics.max_abs == pytest.approx(0.5, rel=1e-6)
    assert "2 of 3 close; worst fc.weight: |Δ| 0.5 at (2, 1)" in report.summary


def test_what_has_no_partner_fails_and_comes_last_when_only_the_target_has_it(original):
    target = {"new": np.ones(2), "fc.bias": original["fc.bias"], "step": original["step"]}
    report = ts.compare(original, target)
    assert not report
    assert [(row.original, row.target, row.status.value) for row in report] == [
        ("fc.weight", None, "not in target"),
        ("fc.bias", "fc.bias", "close"),
        ("step", "step", "close"),
        (None, "new", "not in original"),
    ]
    assert report.rows[0].original_shape == (4, 3)


def test_shapes_and_dtypes_that_do_not_compare_are_rows():
    report = ts.compare(
        {"a": np.ones(2), "b": np.array(["x"]), "c": np.array([None]), "d": np.ones(1)},
        {"a": np.ones(3), "b": np.ones(1), "c": np.ones(1), "d": np.ones(1)},
    )
    assert [row.status.value for row in report] == [
        "shape is inconsistent",
        "dtype is not comparable",
        "dtype is not comparable",
        "close",
    ]


def test_pairing_nothing_is_an_error():
    with pytest.raises(ComparisonError, match="no tensor of dict"):
        ts.compare({"a": np.ones(1)}, {"b": np.ones(1)})
    with pytest.raises(ComparisonError, match="no tensors"):
        ts.compare({}, {"b": np.ones(1)})


def test_a_weight_map_leads_to_the_names_and_layouts_of_the_target():
    conv = np.arange(6.0).reshape(1, 2, 3)
    original = {"bn.weight": np.ones(2), "conv.weight": conv, "extra": np.ones(1)}
    target = {"conv.weight": conv[:, :, None, :], "bn.gamma": np.ones(2)}
    pair = (
        {"bn.weight": "bn.gamma", "conv.weight": "conv.weight"},
        {"conv.weight": {"transform": "insert_axis", "axis": 2}},
    )
    report = ts.compare(original, target, weight_map=pair)
    assert [(row.original, row.target, row.status.value) for row in report] == [
        ("bn.weight", "bn.gamma", "close"),
        ("conv.weight", "conv.weight", "close"),
        ("extra", None, "not in target"),
    ]


def test_a_map_for_another_checkpoint_is_an_error():
    with pytest.raises(ValueError, match="other"):
        ts.compare({"a": np.ones(1)}, {"a": np.ones(1)}, weight_map=({"other": "a"}, {}))
    with pytest.raises(ArgumentTypeError, match="weight_map"):
        ts.compare({"a": np.ones(1)}, {"a": np.ones(1)}, weight_map=3)


def test_tolerances_by_name_and_by_dtype():
    original = {"a.weight": np.ones(2), "a.bias": np.ones(2), "half": np.ones(2, np.float16)}
    target = {name: (array + 0.01).astype(array.dtype) for name, array in original.items()}
    assert len(ts.compare(original, target).failed) == 3
    report = ts.compare(original, target, tolerances={"*.bias": (0, 0.1), "float16": (0, 0.02)})
    assert [row.name for row in report.failed] == ["a.weight"]
    assert report.rows[1].tolerance.atol == 0.1
    first = ts.compare(original, target, tolerances={"*": (0, 1), "*.bias": (0, 0)})
    assert first


def test_a_tolerance_that_fits_nothing_is_said():
    arrays = {"a.weight": np.ones(2)}
    with pytest.warns(ts.errors.ComparisonWarning, match=r"no name and no dtype fits b\.\*, float16$") as caught:
        assert ts.compare(arrays, arrays, tolerances={"b.*": (0, 1), "*.weight": (0, 1), "float16": (0, 1)})
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "arguments", [{"rtol": -1}, {"atol": -1e-9}, {"rtol": math.nan}, {"tolerances": {"a": (0, -1)}}]
)
def test_negative_tolerances_are_refused(arguments):
    with pytest.raises(ArgumentError, match="negative"):
        ts.compare({"a": np.ones(1)}, {"a": np.ones(1)}, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"rtol": "x"}, {"equal_nan": 1}, {"tolerances": [1]}, {"tolerances": {"a": 1}}, {"workers": 1.5}, {"executor": 3}],
)
def test_wrong_types_are_refused(arguments):
    with pytest.raises(ArgumentTypeError):
        ts.compare({"a": np.ones(1)}, {"a": np.ones(1)}, **arguments)


def test_worst_puts_failed_rows_first_and_the_furthest_before_them():
    original = {name: np.zeros(3) for name in "abcd"}
    target = {"a": np.full(3, 0.1), "b": np.full(3, 1e-5), "c": np.full(3, math.nan), "d": np.full(3, 0.3)}
    report = ts.compare(original, target)
    assert [row.name for row in report.worst(4)] == ["c", "d", "a", "b"]
    with pytest.raises(ArgumentError):
        report.worst(-1)


@pytest.fixture
def mixed():
    original = {"a": np.array([1.0, math.nan]), "b": np.array([1.0, 2.0]), "c": np.array([1j, 2.0])}
    target = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 2.5]), "c": np.array([1j, 2.0]), "d": np.ones(1)}
    return ts.compare(original, target)


def test_json_is_valid_and_loses_nothing(mixed, tmp_path):
    def refuse(literal):
        raise AssertionError(literal)

    path = tmp_path / "report.json"
    text = mixed.to_json(path)
    assert path.read_text(encoding="utf-8") == text
    content = json.loads(text, parse_constant=refuse)
    assert content["equal"] is False
    assert [row["status"] for row in content["rows"]] == ["different", "different", "close", "not in original"]
    assert math.isnan(float(content["rows"][0]["worst_original"]))
    assert content["rows"][1]["worst"] == [1]
    assert content["rows"][1]["required_atol"] == pytest.approx(0.5 - 2.5e-4)


def test_csv_has_a_line_a_row(mixed, tmp_path):
    path = tmp_path / "report.csv"
    lines = list(csv.DictReader(io.StringIO(mixed.to_csv(path))))
    assert [line["status"] for line in lines] == ["different", "different", "close", "not in original"]
    assert lines[1]["worst"] == "(1,)"
    assert path.read_text(encoding="utf-8") == mixed.to_csv()
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.csv"]


@pytest.mark.parametrize("write", ["to_csv", "to_json"])
def test_a_folder_that_does_not_exist_is_named(mixed, tmp_path, write):
    with pytest.raises(ArgumentError, match="nowhere"):
        getattr(mixed, write)(tmp_path / "nowhere" / "report")


def test_dataframe(mixed):
    pytest.importorskip("pandas")
    frame = mixed.to_dataframe()
    assert list(frame["status"]) == ["different", "different", "close", "not in original"]
    assert frame["max_abs"][1] == 0.5


def test_tables_show_failed_rows_in_colour_only_when_asked(mixed):
    assert "\x1b" not in str(mixed)
    assert mixed.table(color=True).count("\x1b[31m") % 3 == 0
    assert len(mixed.table(only_different=True).splitlines()) == 3 + 3 + 1
    assert len(mixed.table(worst=1).splitlines()) == 3 + 1 + 1
    assert "float64" in mixed.table(wide=True)


def test_the_last_line_of_a_printed_report_is_its_summary(mixed):
    assert str(mixed).splitlines()[-1] == mixed.summary


def test_cosine_and_elementwise_closeness_disagree_visibly():
    scaled = ts.compare({"w": np.array([1.0, 2.0, 3.0])}, {"w": np.array([2.0, 4.0, 6.0])}).rows[0].metrics
    assert (scaled.cosine, scaled.close) == (pytest.approx(1), 0)
    tiny = ts.compare({"w": np.array([1e-6, 0])}, {"w": np.array([0, 1e-6])}).rows[0].metrics
    assert (tiny.cosine, tiny.close) == (0, 2)


def test_a_part_of_what_the_map_knows_and_none():
    """Gradients: the trainable parameters only, and None where there is none."""
    steps = ({"a": "x", "b": "y", "c": "z", "running": "moving"}, {})
    one = np.ones(2)
    report = ts.compare({"a": one, "b": None, "c": None}, {"x": one, "y": None, "z": one}, weight_map=steps)
    assert [row.name for row in report.rows] == ["a", "z"]
    assert [row.name for row in report.failed] == ["z"]


@pytest.mark.parametrize("progress", [True, False])
def test_a_program_without_stderr_compares_too(monkeypatch, progress):
    monkeypatch.setattr("sys.stderr", None)
    assert ts.compare({"a": np.ones(2)}, {"a": np.ones(2)}, progress=progress)
