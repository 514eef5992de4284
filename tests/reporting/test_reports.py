"""Every report gives its rows as records, CSV, JSON and a DataFrame, and they agree."""

import csv
import io
import json

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError
from ts_core.reporting import Column, Table, Tabular

NAMES = ({"c.weight": "c.weight", "n.weight": "n.gamma"}, {"c.weight": {"transform": "insert_axis", "axis": 2}})


def conversion(folder):
    source = {"c.weight": np.ones((3, 2, 4), "f4"), "n.weight": np.ones(3, "f4")}
    ts.save_checkpoint(source, folder / "source.npz")
    return ts.convert(folder / "source.npz", folder / "target.safetensors", weight_map=NAMES)


def weight_map(_):
    return ts.WeightMap.from_pair({**NAMES[0], "lost": None, "open": ""}, NAMES[1])


def comparison(_):
    return ts.compare({"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2), "b": np.array([np.nan, 2])}, progress=False)


reports = pytest.mark.parametrize("make", [conversion, comparison, weight_map])


def as_text(value):
    return "" if value is None else str(value)


def plain(value):
    """What becomes of a value in JSON."""
    return list(value) if isinstance(value, tuple) else str(value) if value != value or value == np.inf else value


@reports
def test_all_forms_tell_the_same(make, tmp_path):
    report = make(tmp_path)
    records = report.to_records()
    assert records
    assert len({tuple(record) for record in records}) == 1  # the same keys
    lines = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert lines == [{key: as_text(value) for key, value in record.items()} for record in records]
    rows = json.loads(report.to_json())["rows"]
    assert rows == [{key: plain(value) for key, value in record.items()} for record in records]
    frame = pytest.importorskip("pandas") and report.to_dataframe()
    assert list(frame.columns) == list(records[0])
    assert len(frame) == len(records)


@reports
@pytest.mark.parametrize("write", ["to_csv", "to_json"])
def test_files_hold_what_is_returned(make, write, tmp_path):
    report = make(tmp_path)
    text = getattr(report, write)(tmp_path / "report")
    assert (tmp_path / "report").read_text(encoding="utf-8") == text
    with pytest.raises(ArgumentError, match="nowhere"):
        getattr(report, write)(tmp_path / "nowhere" / "report")


@reports
def test_a_report_prints_itself(make, tmp_path, capsys):
    report = make(tmp_path)
    report.print()
    assert capsys.readouterr().out == f"{report}\n"


def test_a_conversion_says_what_became_of_each_tensor(tmp_path):
    report = conversion(tmp_path)
    first, second = report.to_records()
    assert first == {
        "source": "c.weight",
        "target": "c.weight",
        "status": "Value converted",
        "source_shape": (3, 2, 4),
        "target_shape": (3, 2, 1, 4),
        "transform": "insert_axis(axis=2)",
        "changed": 0,
        "how": "file",
        "certainty": "certain",
    }
    assert (second["target"], second["status"], second["transform"]) == ("n.gamma", "weight->gamma", "")
    content = json.loads(report.to_json())
    assert content["complete"] is True
    assert content["notes"] == list(report.notes)
    assert list(content) == ["complete", "notes", "source_framework", "target_framework", "rows"]


def test_a_weight_map_says_how_each_tensor_was_found(tmp_path):
    layout, renamed, lost, undecided = weight_map(tmp_path).to_records()
    assert (layout["source"], layout["target"], layout["transform"]) == ("c.weight", "c.weight", "insert_axis(axis=2)")
    assert (renamed["target"], renamed["how"], renamed["certainty"]) == ("n.gamma", "file", "certain")
    assert (lost["source"], lost["target"], lost["status"]) == ("lost", None, "harmless")
    assert (undecided["source"], undecided["target"], undecided["status"]) == ("open", None, "error")


class Marks(Tabular):
    """The least that a report is."""

    rows = (1.5, 0, float("inf"))

    def _columns(self):
        return [
            Column("value", lambda row: row, "value", "{:.1f}".format, "r"),
            Column("pair", lambda row: (row, None)),
            Column("", lambda row: "*" * int(min(row, 3)), "stars"),
        ]


def test_a_column_is_recorded_by_its_key_and_shown_by_its_title():
    report = Marks()
    assert report.to_records()[0] == {"value": 1.5, "pair": (1.5, None)}
    assert json.loads(report.to_json())["rows"][2] == {"value": "inf", "pair": ["inf", None]}
    assert report.table().splitlines()[1:4:2] == ["| value | stars |", "|   1.5 |   *   |"]
    assert (bool(report), report.failed, len(report), list(report)) == (False, (0,), 3, list(report.rows))


def test_a_table_marks_what_failed_and_becomes_csv_as_it_is_shown():
    table = Table(Marks()._columns(), Marks.rows, "Marks")
    assert table.to_csv() == "value,stars\n1.5,*\n0.0,\ninf,***\n"
    assert table.text(color=True).count("\x1b[31m") == 2  # both cells of the row that is 0
    assert "Marks" in str(table)
