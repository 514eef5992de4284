"""Folders of saved tensors through the guide's functions: pairing, tables, CSV, and what is refused."""

import csv
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError, ArgumentTypeError, ComparisonError

by_name = ts.migrator.get_name_map_list_by_name
by_number = ts.migrator.get_name_map_list_by_number
by_shape = ts.migrator.get_name_map_list_by_shape_edit_distance


@pytest.fixture
def folders(tmp_path):
    """``folders({file: array}, {file: array})`` makes two folders of these files."""

    def make(original, target):
        places = tmp_path / "original", tmp_path / "target"
        for place, arrays in zip(places, (original, target), strict=True):
            place.mkdir()
            for name, array in arrays.items():
                np.save(place / f"{name}.npy", array)
        return places

    return make


@pytest.fixture
def names(folders):
    """``names([…], […])``: two folders of arrays of one shape with these names."""
    return lambda ours, theirs: folders(dict.fromkeys(ours, np.ones(2)), dict.fromkeys(theirs, np.ones(2)))


def test_by_name_equal_names_come_first_then_those_of_another_run_then_leftovers(names):
    pair = names(
        ["b_float32_0", "a_float32_1", "a_float32_2", "same_9", "mine_float32_3"],
        ["a_float16_7", "a_float32_5", "b_bfloat16_4", "same_9", "yours_int8_1"],
    )
    assert by_name(*pair) == [
        ("same_9.npy", "same_9.npy"),
        ("b_float32_0.npy", "b_bfloat16_4.npy"),
        ("a_float32_1.npy", "a_float32_5.npy"),
        ("a_float32_2.npy", "a_float16_7.npy"),
        ("mine_float32_3.npy", None),
        (None, "yours_int8_1.npy"),
    ]


def test_by_number_files_are_in_the_order_of_saving_and_those_without_a_number_last(names):
    pair = names(["x_float32_10", "y_float32_9", "z", "a10b", "a2b"], ["p_0", "q_1"])
    assert by_number(*pair) == [
        ("y_float32_9.npy", "p_0.npy"),
        ("x_float32_10.npy", "q_1.npy"),
        ("a2b.npy", None),
        ("a10b.npy", None),
        ("z.npy", None),
    ]


def test_by_shape_the_cheapest_alignment(folders):
    pair = folders(
        {"a_0": np.ones((5, 10)), "b_1": np.ones(5), "c_2": np.ones(7), "d_3": np.ones(3)},
        {"p_0": np.ones((5, 10)), "q_1": np.ones(5), "r_2": np.ones(3)},
    )
    assert by_shape(*pair) == [
        ("a_0.npy", "p_0.npy"),
        ("b_1.npy", "q_1.npy"),
        ("c_2.npy", None),
        ("d_3.npy", "r_2.npy"),
    ]
    dear = by_shape(*pair, del_cost=9, ins_cost=9, rep_cost=1)
    assert dear[:2] == [("a_0.npy", "p_0.npy"), ("b_1.npy", "q_1.npy")]
    assert sum(None in pair for pair in dear) == 1
    with pytest.raises(ArgumentError, match="rep_cost"):
        by_shape(*pair, rep_cost=-1)


def test_shapes_are_read_from_headers_alone(folders):
    ours, theirs = folders({"a_0": np.ones(3), "b_1": np.ones((2, 2))}, {"p_0": np.ones((2, 2))})
    whole = (ours / "b_1.npy").read_bytes()
    (ours / "b_1.npy").write_bytes(whole[:-32])  # all the data is gone
    assert by_shape(ours, theirs) == [("a_0.npy", None), ("b_1.npy", "p_0.npy")]


@pytest.mark.parametrize("pair_up", [by_name, by_number, by_shape])
def test_unequal_folders_are_warned_of(names, caplog, pair_up):
    with caplog.at_level(logging.WARNING, "ts_core"):
        pair_up(*names(["a_0", "b_1"], ["a_0"]))
    assert "[*User Warning*]" in caplog.text


@pytest.mark.parametrize("pair_up", [by_name, by_number, by_shape])
def test_a_folder_without_arrays_is_named(names, pair_up):
    ours, theirs = names(["a_0"], [])
    with pytest.raises(ValueError, match=r"target_dir.*target"):
        pair_up(ours, theirs)
    with pytest.raises(ValueError, match="orig_dir"):
        pair_up(ours / "nowhere", theirs)
    with pytest.raises(TypeError, match="orig_dir"):
        pair_up(3, theirs)


RESULT = """\
+------------------------------------------------------------------------------------------------------------------------+
|                                             The list of comparison results                                             |
+-----------------+-------------------+-----------------------+-------------------+-------------------+------------------+
| orig array name | target array name |   result of allclose  | ratio of allclose | cosine similarity | mean & max diffs |
+-----------------+-------------------+-----------------------+-------------------+-------------------+------------------+
|   0_data_0.npy  |    1_data_0.npy   |          True         |      100.00%      |      1.00000      | 0.00000, 0.00000 |
|   0_data_1.npy  |    1_data_1.npy   | Shape is inconsistent |       0.00%       |        nan        |     nan, nan     |
+-----------------+-------------------+-----------------------+-------------------+-------------------+------------------+
"""  # noqa: E501 - as it is printed


def test_the_table_of_the_guide(folders, capsys, caplog):
    """Scenario 4 of the guide, with its file names."""
    one, other = np.ones((2, 3)), np.ones((3, 5))
    ours, theirs = folders({"0_data_0": one, "0_data_1": other}, {"1_data_0": one, "1_data_1": one})
    with caplog.at_level(logging.WARNING, "ts_core"):
        report = ts.migrator.compare_npy_dir(ours, theirs, name_map_list=by_number(ours, theirs))
    printed = capsys.readouterr()
    assert printed.out == RESULT
    assert "2/2" in printed.err
    assert "[*User Attention*] The compare directory information:" in caplog.text
    assert f"The orig dir: {ours}" in caplog.text
    assert f"The target dir: {theirs}" in caplog.text
    assert not report
    assert [bool(row) for row in report] == [True, False]


GRADIENTS = """\
| 0_torch_grads_fc.weight_0.npy |  1_ms_grads_0.npy |    (5, 10)    |     (5, 10)     |        True        |      100.00%      |      1.00000      | 0.00000, 0.00000 |
|  0_torch_grads_fc.bias_1.npy  |  1_ms_grads_1.npy |      (5,)     |       (5,)      |       False        |       80.00%      |      0.99979      | 0.05000, 0.05000 |
| 0_torch_grads_bn.weight_2.npy |        None       |      (5,)     |       None      |       False        |       0.00%       |        nan        |     nan, nan     |
|  0_torch_grads_bn.bias_3.npy  |        None       |      (5,)     |       None      |       False        |       0.00%       |        nan        |     nan, nan     |
"""  # noqa: E501 - as it is printed


def test_gradients_are_paired_by_shape_and_shown_with_their_shapes(folders, capsys):
    weight, bias = np.arange(50.0).reshape(5, 10), np.ones(5)
    moved = bias.copy()
    moved[1] -= 0.05
    ours, theirs = folders(
        {
            "0_torch_grads_fc.weight_0": weight,
            "0_torch_grads_fc.bias_1": bias,
            "0_torch_grads_bn.weight_2": bias,
            "0_torch_grads_bn.bias_3": bias,
        },
        {"1_ms_grads_0": weight, "1_ms_grads_1": moved},
    )
    report = ts.migrator.compare_grads_dir(ours, theirs)
    lines = capsys.readouterr().out.splitlines(keepends=True)
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == [
        *("orig array name", "target array name", "shape of orig", "shape of target"),
        *("result of allclose", "ratio of allclose", "cosine similarity", "mean & max diffs"),
    ]
    assert "".join(lines[5:9]) == GRADIENTS
    assert [row.metrics is not None for row in report] == [True, True, False, False]
    ts.migrator.compare_grads_dir(ours, theirs, compare_shape=False)
    assert "shape of orig" not in capsys.readouterr().out


def test_lists_by_number_and_dicts_by_name(tmp_path):
    for place, offset in (("a", 0), ("b", 0)):
        ts.save(tmp_path / place / "list", [np.full(3, offset), np.full(2, 1)])
    assert ts.migrator.compare_list_dir(tmp_path / "a", tmp_path / "b")
    for place, order in (("c", "xy"), ("d", "yx")):
        ts.save(tmp_path / place / "dict", {key: np.full(3, ord(key)) for key in order})
    assert ts.migrator.compare_dict_dir(tmp_path / "c", tmp_path / "d")
    assert not ts.migrator.compare_list_dir(tmp_path / "c", tmp_path / "d")


def test_names_may_omit_their_suffix_and_partners_may_be_missing(folders, capsys):
    ours, theirs = folders({"a": np.ones(2), "b": np.ones(2)}, {"p": np.ones(2), "q": np.ones(2)})
    pairs = [("a", "p.npy"), ("b.npy", None), (None, "q"), ("missing", "q")]
    report = ts.migrator.compare_npy_dir(ours, theirs, name_map_list=pairs)
    assert [row.status.value for row in report] == ["close", "not in target", "not in original", "unreadable"]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[5:9]]
    assert cells[1] == ["b.npy", "None", "False", "0.00%", "nan", "nan, nan"]
    assert cells[2] == ["None", "q.npy", "False", "0.00%", "nan", "nan, nan"]
    assert "missing.npy" in cells[3][2]


def test_the_table_as_csv(folders, tmp_path):
    ours, theirs = folders({"a": np.array([1.0, 0])}, {"a": np.array([1 + 1e-5, 0])})
    ts.migrator.compare_npy_dir(ours, theirs, output_file=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            [
                *("orig array name", "target array name", "result of allclose", "ratio of allclose"),
                *("cosine similarity", "mean & max diffs"),
            ],
            ["a.npy", "a.npy", "True", "100.00%", "1.00000", "0.00001, 0.00001"],
        ]


def test_one_bad_file_is_a_row_and_the_others_are_compared(folders):
    good = np.arange(4.0)
    ours, theirs = folders(dict.fromkeys("abcde", good), dict.fromkeys("abcde", good))
    (ours / "a.npy").write_bytes(b"no array")
    (ours / "b.npy").write_bytes((theirs / "b.npy").read_bytes()[:-8])
    np.save(theirs / "c.npy", np.array([{"pickled": 1}], dtype=object), allow_pickle=True)
    (ours / "d.npy").write_bytes(pickle.dumps(good))
    report = ts.migrator.compare_npy_dir(ours, theirs)
    assert [row.status.value for row in report] == ["unreadable"] * 4 + ["close"]
    details = [row.detail for row in report]
    assert "not an array" in details[0]
    assert "incomplete" in details[1]
    assert "pickled" in details[2]
    assert not report


def test_folders_as_they_are(folders):
    """``ts.compare`` names a tensor like its file, and goes on after a file that is none."""
    good = np.arange(4.0)
    ours, theirs = folders({"a_0": good, "b_1": good, "c_2": good}, {"a_0": good, "b_1": good, "d_3": good})
    (theirs / "a_0.npy").write_bytes(b"no array")
    report = ts.compare(str(ours), theirs)
    assert [(row.original, row.target, row.status.value) for row in report] == [
        ("a_0", "a_0", "unreadable"),
        ("b_1", "b_1", "close"),
        ("c_2", None, "not in target"),
        (None, "d_3", "not in original"),
    ]
    with ThreadPoolExecutor(1) as pool:
        assert ts.compare(ours, theirs, executor=pool).rows == report.rows


def test_folders_with_no_name_in_common(names):
    with pytest.raises(ComparisonError, match="no file of"):
        ts.compare(*names(["a"], ["b"]))


def test_dtypes_that_do_not_compare_are_a_row(folders, capsys):
    ours, theirs = folders({"a": np.array(["x", "y"]), "b": np.ones(2)}, {"a": np.ones(2), "b": np.ones(2)})
    report = ts.migrator.compare_npy_dir(ours, theirs)
    assert [row.status.value for row in report] == ["dtype is not comparable", "close"]
    assert "Dtype is not comparable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"rtol": -1}, ArgumentError, "rtol"),
        ({"atol": "small"}, ArgumentTypeError, "atol"),
        ({"equal_nan": 1}, ArgumentTypeError, "equal_nan"),
        ({"name_map_list": "a.npy"}, ArgumentTypeError, "name_map_list"),
        ({"name_map_list": [("a.npy",)]}, ArgumentTypeError, "name_map_list"),
        ({"name_map_list": [("a.npy", 3)]}, ArgumentTypeError, "name_map_list"),
        ({"name_map_list": [("a.npy", None)]}, ComparisonError, "no file"),
        ({"output_file": "nowhere/out.csv"}, ArgumentError, "output_file"),
        ({"output_file": 3}, ArgumentTypeError, "output_file"),
        ({"num_processes": 0}, ArgumentError, "workers"),
        ({"workers": "two"}, ArgumentTypeError, "workers"),
        ({"compare_shape": "yes"}, ArgumentTypeError, "compare_shape"),
    ],
)
def test_wrong_arguments(folders, capsys, arguments, error, complaint):
    ours, theirs = folders({"a": np.ones(2)}, {"a": np.ones(2)})
    with pytest.raises(error, match=complaint):
        ts.migrator.compare_npy_dir(ours, theirs, **arguments)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("compare", ["compare_npy_dir", "compare_list_dir", "compare_dict_dir", "compare_grads_dir"])
def test_folders_that_are_none(folders, compare):
    ours, theirs = folders({"a": np.ones(2)}, {})
    function = getattr(ts.migrator, compare)
    with pytest.raises(ValueError, match="target_dir"):
        function(ours, theirs)
    with pytest.raises(ValueError, match="orig_dir"):
        function(ours / "nowhere", theirs)
    with pytest.raises(TypeError, match="target_dir"):
        function(ours, None)


@pytest.mark.parametrize("alias", ["num_processes", "workers"])
def test_the_number_of_workers(folders, alias):
    ours, theirs = folders({"a": np.ones(2)}, {"a": np.ones(2)})
    assert ts.migrator.compare_npy_dir(ours, theirs, **{alias: 2})
