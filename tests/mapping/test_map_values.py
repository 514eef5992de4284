"""Weight maps as values: looking names up, editing as a whole, and the forms that a map survives."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.contract.readers import LazyTensors
from ts_core.contract.transforms import Concatenate, InsertAxis, Split, Transpose
from ts_core.errors import ArgumentTypeError, WeightMapError
from ts_core.mapping import Ambiguity, MapEntry, Unmatched
from ts_core.sources import open_source

names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=6)


@st.composite
def maps(draw):
    """A map of entries of every form, with tensors left out, open, and in any order of the source."""
    fresh = iter(draw(st.lists(names, min_size=40, max_size=40, unique=True)))
    parts = {
        "plain": lambda: MapEntry((next(fresh),), (next(fresh),)),
        "changed": lambda: MapEntry((next(fresh),), (next(fresh),), InsertAxis(2)),
        "turned": lambda: MapEntry((next(fresh),), (next(fresh),), Transpose((1, 0))),
        "fused": lambda: MapEntry((next(fresh), next(fresh)), (next(fresh),), Concatenate(0, (2, 3))),
        "split": lambda: MapEntry((next(fresh),), (next(fresh), next(fresh)), Split(0, (2, 3))),
    }
    entries = [parts[kind]() for kind in draw(st.lists(st.sampled_from(sorted(parts)), max_size=8))]
    severities = draw(st.lists(st.sampled_from(["harmless", "error", "lost"]), max_size=4))
    unmatched = [Unmatched(next(fresh), (), "so", severity=severity) for severity in severities]
    ours = [name for entry in entries for name in entry.source] + [one.name for one in unmatched]
    return ts.WeightMap(entries, unmatched_source=unmatched, order=draw(st.permutations(ours)))


def said(found):
    """What the pair form keeps of a map."""
    return (
        {(e.source, e.target, e.transform) for e in found},
        {(u.name, u.harmless) for u in found.unmatched_source},
    )


@settings(deadline=None)
@given(maps())
def test_a_map_survives_its_pair_its_file_and_its_pickle(tmp_path_factory, found):
    pair = found.to_pair()
    assert ts.WeightMap.from_pair(*pair).to_pair() == pair
    assert said(ts.WeightMap.from_pair(*pair)) == said(found)
    path = tmp_path_factory.mktemp("map") / "map.json"
    found.save(path)
    assert said(ts.WeightMap.load(path)) == said(found)
    assert list(ts.WeightMap.load(path).to_pair()[0]) == list(pair[0])
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), copy.copy(found)):
        assert twin.entries == found.entries
        assert twin.to_pair() == pair
        assert dict(twin.names) == dict(found.names)


@given(maps())
def test_membership_lookup_and_the_view_of_names_agree(found):
    assert len(found.names) == sum(len(entry.source) for entry in found)
    for name in found.names:
        assert name in found
        assert found[name] == found.names[name]
        assert found.by_source[name] in found
    for entry in found:
        assert all(found.by_target[name] is entry for name in entry.target)
    assert all(one.name not in found for one in found.unmatched_source)
    assert None not in found


@given(maps())
def test_there_and_back_are_the_same_entries(found):
    back = found.inverse().inverse()
    assert back.entries == found.entries
    assert back.unmatched_source == found.unmatched_source


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", *"abcxyz"])), max_size=12),
)
def test_edits_are_those_of_a_dict_in_which_each_target_has_one_source(start, edits):
    found = ts.WeightMap(MapEntry((name,), (name,)) for name in start)
    model = {name: name for name in start}
    left_out = set()
    for source, target in edits:
        before = pickle.dumps(found.to_pair())
        if target:
            model = {n: t for n, t in model.items() if t != target or n == source} | {source: target}
            left_out.discard(source)
            found[source] = target
        elif source in model or source in left_out:
            model.pop(source, None)
            left_out.add(source)
            del found[source]
        else:
            with pytest.raises(KeyError):
                del found[source]
            assert pickle.dumps(found.to_pair()) == before
        assert dict(found.names) == model
        assert {u.name for u in found.unmatched_source} == left_out
        assert found.complete


def test_the_names_of_a_map_are_a_mapping_that_cannot_be_changed():
    found = ts.WeightMap([MapEntry(("q", "k"), ("qk",), Concatenate(0, (1, 1))), MapEntry(("b",), ("x", "y"))])
    assert dict(found.names) == {"q": "qk", "k": "qk", "b": ("x", "y")}
    assert {name: found[name] for name in found.names} == dict(found.names)
    with pytest.raises(TypeError):
        found.names["q"] = "other"
    with pytest.raises(KeyError):
        found["qk"]


@pytest.mark.parametrize(
    "part", ["entries", "unmatched_source", "unmatched_target", "ambiguous", "notes", "names", "by_source", "by_target"]
)
def test_the_parts_of_a_map_are_set_once(part):
    with pytest.raises(AttributeError):
        setattr(ts.WeightMap([]), part, ())


def test_an_edit_that_is_refused_changes_nothing():
    found = ts.WeightMap([MapEntry(("a",), ("b",))])
    for wrong in (None, "", 3, ("x", "y")):
        with pytest.raises(ArgumentTypeError, match="a target is a name"):
            found["a"] = wrong
    assert found.entries == (MapEntry(("a",), ("b",)),)


def test_parts_that_were_taken_from_a_map_stay_as_they_were():
    found = ts.WeightMap([MapEntry(("a",), ("b",)), MapEntry(("c",), ("d",))])
    entries, seen, kept = found.entries, found.names, {found}
    found["a"] = "z"
    del found["c"]
    assert [entry.target for entry in entries] == [("b",), ("d",)]
    assert dict(seen) == {"a": "b", "c": "d"}
    assert dict(found.names) == {"a": "z"}
    assert found in kept


def test_an_ambiguous_tensor_can_be_left_out_or_sent_somewhere():
    found = ts.WeightMap([], ambiguous=[Ambiguity((name,), ("x", "y"), "equal") for name in ("a", "b")])
    del found["a"]
    found["b"] = "y"
    assert not found.ambiguous
    assert found.to_pair()[0] == {"a": None, "b": "y"}


@pytest.mark.parametrize("text", ['[{"a": "b", "a": "c"}, {}]', '[{"a": "b"}, {"a": null, "a": null}]'])
def test_a_file_that_says_one_name_twice_is_refused(tmp_path, text):
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(WeightMapError, match=r"map\.json is not a weight map: 'a' is there twice"):
        ts.WeightMap.load(tmp_path / "map.json")


def test_a_map_that_cannot_be_written_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "map.json"
    ts.WeightMap.from_pair({"a": "b"}, {}).save(path)
    before = path.read_bytes()
    with pytest.raises(WeightMapError, match=r"cannot write the weight map .*map\.json"):
        ts.WeightMap.from_pair({"half of a character: \ud800": "b"}, {}).save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["map.json"]
    assert json.loads(before) == [{"a": "b"}, {}]


class Travelling(LazyTensors):
    """Tensors that are made again where they are unpickled."""

    travels = True
    opened = 0

    def __init__(self):
        type(self).opened += 1
        self._inner = open_source({"a": np.arange(6.0).reshape(2, 3), "b": np.ones(2)})

    def __reduce__(self):
        return Travelling, ()

    @property
    def index(self):
        return self._inner.index

    def read(self, name):
        return self._inner.read(name)


def test_a_source_seen_through_a_map_travels_as_its_source_and_the_entries():
    found = ts.WeightMap([MapEntry(("a",), ("x",), Transpose((1, 0))), MapEntry(("b",), ("y",))])
    mapped = found.apply(Travelling())
    assert mapped.travels
    assert not found.apply(open_source({"a": np.zeros((2, 3)), "b": np.ones(2)})).travels
    before = Travelling.opened
    there = pickle.loads(pickle.dumps(mapped))
    assert Travelling.opened == before + 1
    assert list(there) == ["x", "y"]
    assert there.index == mapped.index
    assert np.array_equal(there["x"], np.arange(6.0).reshape(2, 3).T)
    assert there.travels


def test_a_map_of_a_part_keeps_what_it_says_of_that_part():
    found = ts.WeightMap.from_pair({"a": "x", "b": None, "c": None, "d": "y"}, {})
    part = found.only(["a", "b"])
    assert part.to_pair()[0] == {"a": "x", "b": None}
    report = ts.compare({"a": np.ones(2), "b": np.ones(2)}, {"x": np.ones(2)}, weight_map=found, progress=False)
    assert report


def test_a_map_as_a_report_tells_what_is_mapped_and_what_is_left():
    found = ts.WeightMap(
        [MapEntry(("q", "k"), ("qk",), Concatenate(0, (2, 3))), MapEntry(("b",), ("b",), how="file")],
        unmatched_source=[Unmatched("count", (), "a counter", severity="harmless")],
        unmatched_target=[Unmatched("x", (2,), "nobody", ("b", "c"))],
        ambiguous=[Ambiguity(("e",), ("f", "g"), "equal")],
        notes=["so"],
    )
    assert [(row.source, row.target, row.status, bool(row)) for row in found.rows] == [
        (("q", "k"), "qk", "mapped", True),
        ("b", "b", "mapped", True),
        ("count", None, "harmless", True),
        (None, "x", "error", False),
        ("e", None, "ambiguous", False),
    ]
    assert [row.candidates for row in found.failed] == ["b, c", "f, g"]
    report = json.loads(found.to_json())
    assert (report["complete"], report["notes"], len(report["rows"])) == (False, ["so"], 5)
    assert report["rows"][0]["transform"] == "concatenate(axis=0, sizes=(2, 3))"
    assert list(found) == list(found.entries)
    assert len(found) == 2
    assert "nobody" not in found.table()
    assert found
    assert not ts.WeightMap([], notes=["empty"])
