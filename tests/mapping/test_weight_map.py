"""Weight maps as values: their file forms, editing, and what they refuse."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core.cli import cli
from ts_core.contract.transforms import Concatenate, InsertAxis
from ts_core.errors import WeightMapError, WeightMapNotFoundError
from ts_core.mapping import MapEntry
from ts_core.sources import open_source

FUSED = MapEntry(("q", "k"), ("qk",), Concatenate(0, (2, 3)))


def example() -> ts.WeightMap:
    return ts.WeightMap([MapEntry(("c.weight",), ("d.weight",), InsertAxis(2)), FUSED, MapEntry(("b",), ("b",))])


def test_the_pair_form_survives_a_file(tmp_path):
    path = tmp_path / "map.json"
    example().save(path)
    name_map, value_map = json.loads(path.read_text())
    assert name_map == {"c.weight": "d.weight", "q": "qk", "k": "qk", "b": "b"}
    assert value_map["c.weight"] == {"transform": "insert_axis", "axis": 2}
    loaded = ts.WeightMap.load(path)
    assert [(e.source, e.target, e.transform) for e in loaded] == [(e.source, e.target, e.transform) for e in example()]


def test_files_of_the_older_tool_are_read(tmp_path):
    path = tmp_path / "older.json"
    function = "troubleshooter.migrator.mapping_relation.weight_adapter.trans_conv1d_weight_value"
    path.write_text(json.dumps([{"c.weight": "c.weight", "n.weight": "n.gamma"}, {"c.weight": function}]))
    source = open_source({"c.weight": np.zeros((3, 2, 1)), "n.weight": np.ones(4)})
    mapped = ts.WeightMap.load(path).apply(source)
    assert {name: array.shape for name, array in mapped.items()} == {"c.weight": (3, 2, 1, 1), "n.gamma": (4,)}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a weight map"),
        ("{}", r"\[name_map, value_map\]"),
        ("[{}, {}, {}]", r"\[name_map, value_map\]"),
        ('[["a"], {}]', "pair of dicts"),
        ('[{"a": 1}, {}]', "'a' must lead to a name"),
        ('[{"a": "b"}, {"x": {"transform": "insert_axis", "axis": 0}}]', "does not map: x"),
        ('[{"a": "b"}, {"a": "os.system"}]', "no weight map may name"),
        ('[{"a": "b"}, {"a": {"transform": "exec"}}]', "unknown transform 'exec'"),
        ('[{"a": "b"}, {"a": {"transform": "insert_axis", "axis": "0"}}]', "wrong arguments"),
        ('[{"a": "b"}, {"a": {"transform": "insert_axis"}}]', "wrong arguments"),
        ('[{"a": "x", "b": "x"}, {}]', "same name: x"),
        ('[{"a": "b"}, {"a": {"transform": "insert_axis", "axis": 0, "sources": ["a", 3]}}]', "names as its sources"),
        ('[{"a": "b"}, {"a": {"transform": "insert_axis", "axis": 0, "sources": ["a", []]}}]', "names as its sources"),
        ("[" * 100_000, "not a weight map"),
        ("", "ts map SOURCE -o FILE"),
    ],
)
def test_a_file_that_is_no_map_is_refused_by_name(tmp_path, content, says):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(WeightMapError, match=says) as error:
        ts.WeightMap.load(path)
    assert "broken.json" in str(error.value)


def test_a_file_that_is_not_there_is_both_kinds_of_error(tmp_path):
    with pytest.raises(WeightMapNotFoundError, match=r"no weight map .*none\.json; `ts map SOURCE -o FILE`") as error:
        ts.WeightMap.load(tmp_path / "none.json")
    assert isinstance(error.value, FileNotFoundError)
    assert isinstance(error.value, WeightMapError)


@pytest.mark.parametrize("kind", ["folder", "checkpoint"])
def test_what_holds_no_text_is_refused(tmp_path, kind):
    path = tmp_path / "map.json"
    if kind == "folder":
        path.mkdir()
    else:
        ts.save_checkpoint({"a": np.full(9, 0.1)}, path, format="npz")
    with pytest.raises(WeightMapError, match=r"map\.json cannot be read as a weight map"):
        ts.WeightMap.load(path)


@pytest.mark.parametrize("command", ["convert", "compare"])
@pytest.mark.parametrize("kind", ["missing", "folder", "checkpoint", "nonsense"])
def test_the_command_line_says_what_is_wrong_with_a_map(tmp_path, command, kind):
    ts.save_checkpoint({"a": np.full(9, 0.1)}, tmp_path / "a.npz")
    path = {"folder": tmp_path, "checkpoint": tmp_path / "a.npz"}.get(kind, tmp_path / "map.json")
    if kind == "nonsense":
        path.write_text("{}")
    other = tmp_path / ("b.safetensors" if command == "convert" else "a.npz")
    result = CliRunner().invoke(cli, [command, str(tmp_path / "a.npz"), str(other), "--map", str(path)])
    assert isinstance(result.exception, WeightMapError)
    assert path.name in str(result.exception)
    assert not (tmp_path / "b.safetensors").exists()


def test_a_map_edited_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "map.json").write_text('[{"a": "b"}, {}]', encoding="utf-8-sig")
    assert ts.WeightMap.load(tmp_path / "map.json")["a"] == "b"


def test_a_map_cannot_be_written_over_a_folder(tmp_path):
    with pytest.raises(WeightMapError, match="cannot write the weight map"):
        example().save(tmp_path)


def test_the_folder_of_the_file_must_exist(tmp_path):
    with pytest.raises(ValueError, match="missing"):
        example().save(tmp_path / "missing" / "map.json")


def test_prefixes_are_exchanged_at_dots_and_the_longest_wins():
    plain = ts.WeightMap([MapEntry((name,), (name,)) for name in ("a.b.w", "a.c.w", "ab.w")])
    changed = plain.renamed({"a": "x", "a.b": "y"}, prefix="net")
    assert [entry.target for entry in changed] == [("net.y.w",), ("net.x.c.w",), ("net.ab.w",)]
    upper = plain.renamed(str.upper)
    assert [entry.target for entry in upper] == [("A.B.W",), ("A.C.W",), ("AB.W",)]


def test_renaming_two_names_into_one_is_an_error_that_names_it():
    plain = ts.WeightMap([MapEntry((name,), (name,)) for name in ("a.w", "b.w")])
    with pytest.raises(WeightMapError, match=r"same name: c\.w"):
        plain.renamed({"a": "c", "b": "c"})


def test_an_edited_entry_takes_its_target_from_the_one_that_had_it():
    edited = example()
    edited["b"] = "d.weight"
    assert edited["b"] == "d.weight"
    with pytest.raises(KeyError):
        edited["c.weight"]
    del edited["b"]
    assert [entry.source for entry in edited] == [("q", "k")]


def test_an_edited_target_keeps_the_transform():
    edited = example()
    edited["c.weight"] = "e.weight"
    assert edited.entries[0] == MapEntry(("c.weight",), ("e.weight",), InsertAxis(2))


def test_with_names_refuses_dropped_added_and_doubled_names():
    names, _ = example().to_pair()
    assert example().with_names({**names, "b": "z"})["b"] == "z"
    with pytest.raises(WeightMapError, match="dropped b"):
        example().with_names({name: target for name, target in names.items() if name != "b"})
    with pytest.raises(WeightMapError, match="added y"):
        example().with_names({**names, "y": "y"})
    with pytest.raises(WeightMapError, match=r"same name: d\.weight"):
        example().with_names({**names, "b": "d.weight"})


def test_there_and_back_is_where_we_were():
    source = open_source(
        {"c.weight": np.arange(6.0).reshape(3, 2, 1), "q": np.ones((2, 4)), "k": np.zeros((3, 4)), "b": np.eye(2)}
    )
    there = example().apply(source)
    assert there.info("qk").shape == (5, 4)
    back = example().inverse().apply(there)
    assert set(back) == set(source)
    for name, array in back.items():
        np.testing.assert_array_equal(array, source[name])


def test_names_that_the_source_lacks_are_named():
    with pytest.raises(WeightMapError, match="of the 4 tensors that it names, the source lacks 2: q, k"):
        example().apply(open_source({"c.weight": np.zeros((3, 2, 1)), "b": np.zeros(1)}))


def test_a_transform_of_one_tensor_refuses_two():
    value = {"transform": "insert_axis", "axis": 0, "sources": ["a", "b"]}
    read = ts.WeightMap.from_pair({"a": "x", "b": "x"}, {"a": value, "b": value})
    with pytest.raises(WeightMapError, match=r"a, b: insert_axis\(axis=0\) does not take 2 tensors"):
        read.apply(open_source({"a": np.ones(2), "b": np.ones(2)}))
