"""Files of maps that are no maps: each is an error that names the file; nothing else comes out of one."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.contract.transforms import TRANSFORMS, Each, Split, Transpose
from ts_core.errors import TsError, WeightMapError

TENSORS = {"w": np.ones((2, 3), np.float32), "v": np.ones((2, 3), np.float32)}
WRONG = [None, True, 1.0, 1.5, -1, 10**30, "1", "", [], [1], [[1]], [None], ["0"], {}, {"a": 1}, [{}], [1, "a"], [True]]
ARGUMENTS = {
    "insert_axis": {"axis": 0},
    "remove_axis": {"axis": 0},
    "transpose": {"axes": [1, 0]},
    "reshape": {"before": [2, 3], "after": [3, 2]},
    "split": {"axis": 0, "sizes": [1, 1]},
    "concatenate": {"axis": 0, "sizes": [2, 2]},
    "reorder_blocks": {"axis": 0, "order": [1, 0]},
    "chain": {"steps": [{"transform": "transpose", "axes": [1, 0]}]},
    "each": {"step": {"transform": "transpose", "axes": [1, 0]}},
    "combine": {"factors": [1, -1]},
    "insert_zeros": {"position": 0, "shape": [2]},
    "leave_out": {"position": 0, "shape": [2]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    ts.save_checkpoint(TENSORS, folder / "w.npz")
    return folder


def use(folder, content):
    """Do with a map all that can be done; the error of ours that came of it, or None."""
    path = folder / "m.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    problem = None
    try:
        found = ts.WeightMap.load(path)
    except WeightMapError as error:
        return error if str(path) in str(error) else pytest.fail(f"it does not name the file: {error}")
    for action in (
        lambda: f"{found} {found!r} {found.to_json()} {found.to_csv()}",
        lambda: f"{found.inverse()}",
        lambda: found.apply(ts.open_checkpoint(folder / "w.npz")).index,
        lambda: {name: np.array(array) for name, array in found.apply(ts.open_checkpoint(folder / "w.npz")).items()},
        lambda: ts.convert(folder / "w.npz", folder / "o.npz", weight_map=path),
        lambda: ts.compare(folder / "w.npz", folder / "w.npz", weight_map=path),
        lambda: found.save(folder / "again.json"),
        lambda: ts.weight_map(folder / "w.npz", folder / "w.npz"),
    ):
        try:
            action()
        except TsError as error:
            problem = error
    return problem


def test_every_transform_is_tried():
    assert ARGUMENTS.keys() == TRANSFORMS.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_of_every_transform(folder, name):
    for key in ARGUMENTS[name]:
        for value in WRONG:
            entry = {"transform": name, **ARGUMENTS[name], key: value}
            problem = use(folder, [{"w": "x", "v": None}, {"w": entry}])
            legal = (key in ("axis",) and value == 0) or (key == "steps" and value == [])
            assert problem is not None or legal, entry
    for arguments in ({}, {"other": 1}, {**ARGUMENTS[name], "other": 1}):
        assert use(folder, [{"w": "x", "v": None}, {"w": {"transform": name, **arguments}}]) is not None


@pytest.mark.parametrize(
    "wrong", [None, True, 5, 1.5, [], {}, [1], "os.system", {"transform": None}, {"transform": []}]
)
def test_every_place_of_a_map(folder, wrong):
    for content in (
        [{"w": "x", "v": "y"}, {"w": wrong}],
        [{"w": wrong, "v": "y"}, {}],
        [{"w": [wrong], "v": "y"}, {}],
        [wrong, {}],
        [{}, wrong],
        [wrong],
        wrong,
        [{"w": "x", "v": "x"}, {"w": {"transform": "concatenate", "axis": 0, "sizes": [2, 2], "sources": wrong}}],
        [
            {"w": "x", "v": "x"},
            {"w": {"transform": "concatenate", "axis": 0, "sizes": [2, 2], "sources": ["w", wrong]}},
        ],
        [{"w": "x", "v": "y"}, {"w": {"transform": "chain", "steps": [wrong]}}],
        [{"w": "x", "v": "y"}, {"w": {"transform": "each", "step": wrong}}],
    ):
        use(folder, content)


@pytest.mark.parametrize(
    "text",
    [
        '[{"w": "x", "w": "y", "v": "z"}, {}]',
        '[{"w": "x", "v": "z"}, {"w": null, "w": null}]',
        '[{"w": "x", "v": "z"}, {"w": {"transform": "insert_axis", "axis": 0, "axis": 1}}]',
        '[{"w": "x", "v": "z"}, {"w": {"transform": "each", "step": {"transform": "a", "transform": "insert_axis"}}}]',
    ],
)
def test_a_name_that_is_there_twice_at_any_depth(folder, text):
    assert "twice" in str(use(folder, text))


def test_the_same_tensor_twice_or_a_name_that_is_empty(folder):
    twice = {"transform": "concatenate", "axis": 0, "sizes": [2, 2], "sources": ["w", "w"]}
    assert use(folder, [{"w": "x", "v": None}, {"w": twice}]) is not None
    assert use(folder, [{"w": ["x", ""], "v": None}, {"w": {"transform": "split", "axis": 0, "sizes": [1, 1]}}])
    assert use(folder, [{"w": ["x", "x"], "v": None}, {"w": {"transform": "split", "axis": 0, "sizes": [1, 1]}}])


def test_transforms_inside_each_other_without_end(folder):
    for key, wrap in (("step", lambda inner: {"transform": "each", "step": inner}),
                      ("steps", lambda inner: {"transform": "chain", "steps": [inner]})):  # fmt: skip
        entry = {"transform": "insert_axis", "axis": 0}
        for _ in range(200):
            entry = wrap(entry)
        assert "inside each other" in str(use(folder, [{"w": "x", "v": None}, {"w": entry}])), key
    deep = '{"transform": "each", "step": ' * 50_000 + "1" + "}" * 50_000
    assert use(folder, f'[{{"w": "x"}}, {{"w": {deep}}}]') is not None


def test_each_does_not_lose_what_a_split_makes(folder):
    split = {"transform": "split", "axis": 0, "sizes": [1, 1]}
    assert use(folder, [{"w": "x", "v": None}, {"w": {"transform": "each", "step": split}}]) is not None
    with pytest.raises(WeightMapError, match="2 tensors"):
        Each(Split(0, (1, 1))).apply(np.ones((2, 2)))
    with pytest.raises(WeightMapError, match="2 tensors"):
        Transpose((1, 0)).apply(np.ones((2, 2)), np.ones((2, 2)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["w", "v", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def transforms(draw, depth=2):
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    entry = {"transform": name}
    for key, good in ARGUMENTS[name].items():
        numbers = st.lists(st.integers(0, 3), max_size=3) if isinstance(good, list) else st.integers(0, 3)
        if depth and key in ("step", "steps"):
            inner = transforms(depth - 1)
            numbers = inner if key == "step" else st.lists(inner, max_size=3)
        entry[key] = draw(st.just(good) | numbers | JSON)
    return entry


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    names=st.dictionaries(
        st.sampled_from(["w", "v", "u"]), st.sampled_from(["x", "y", None, "", ["x", "y"]]) | JSON, max_size=3
    ),
    values=st.dictionaries(st.sampled_from(["w", "v", "u"]), transforms() | JSON, max_size=2),
)
def test_any_map_at_all(folder, names, values):
    use(folder, [names, values])
