"""Checkpoints and networks: scenario 2 of the guide, layouts, and what a framework cannot have."""

import logging

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError, ArgumentTypeError, WeightMapError


def cells(table):
    """The cells of a printed table, without rules and title."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    return [row for row in rows if len(row) > 1]


@pytest.fixture
def pair(tmp_path):
    rng = np.random.default_rng(0)
    shared = {"bn1.moving_mean": np.zeros(10, "f4"), "fc2.weight": rng.standard_normal((1, 10)).astype("f4")}
    original = {
        "fc1.weight": np.ones((10, 2), "f4"),
        "fc1.bias": np.zeros(10, "f4"),
        **shared,
        "bn1.gamma": np.ones(10, "f4"),
    }
    target = {
        "fc1.weight": np.ones((10, 3), "f4"),
        "fc1.bias": np.ones(10, "f4"),
        **shared,
        "fc3.weight": np.ones((1, 10), "f4"),
    }
    for name, tensors in (("a.npz", original), ("b.npz", target)):
        ts.save_checkpoint(tensors, tmp_path / name)
    return tmp_path / "a.npz", tmp_path / "b.npz"


SHAPES = """\
|                                                           The list of comparison results for shapes                                                           |
| Parameter name of original ckpt | Parameter name of target ckpt | Whether shape are equal | Parameter shape of original ckpt | Parameter shape of target ckpt |
|            fc1.weight           |           fc1.weight          |          False          |             (10, 2)              |            (10, 3)             |
|             fc1.bias            |            fc1.bias           |           True          |              (10,)               |             (10,)              |
|         bn1.moving_mean         |        bn1.moving_mean        |           True          |              (10,)               |             (10,)              |
|            fc2.weight           |           fc2.weight          |           True          |             (1, 10)              |            (1, 10)             |
|            bn1.gamma            |              None             |           None          |              (10,)               |              None              |
|               None              |           fc3.weight          |           None          |               None               |            (1, 10)             |
"""  # noqa: E501 - as it is printed

VALUES = """\
| Parameter name of original ckpt | Parameter name of target ckpt |   result of allclose  | ratio of allclose | cosine similarity | mean & max diffs |
|            fc1.weight           |           fc1.weight          | Shape is inconsistent |       0.00%       |        nan        |     nan, nan     |
|             fc1.bias            |            fc1.bias           |         False         |       0.00%       |        nan        | 1.00000, 1.00000 |
|         bn1.moving_mean         |        bn1.moving_mean        |          True         |      100.00%      |      1.00000      | 0.00000, 0.00000 |
|            fc2.weight           |           fc2.weight          |          True         |      100.00%      |      1.00000      | 0.00000, 0.00000 |
|            bn1.gamma            |              None             |         False         |       0.00%       |        nan        |     nan, nan     |
|               None              |           fc3.weight          |         False         |       0.00%       |        nan        |     nan, nan     |
"""  # noqa: E501 - as it is printed


def tables(text):
    """The printed tables without their rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    second = next((i for i, line in enumerate(lines) if "for values" in line), len(lines))
    return "".join(f"{line}\n" for line in lines[:second]), "".join(f"{line}\n" for line in lines[second + 1 :])


def test_both_tables(pair, capsys):
    report = ts.migrator.compare_ms_ckpt(*pair)
    assert tables(capsys.readouterr().out) == (SHAPES, VALUES)
    assert len(report.failed) == 4


def test_only_what_differs(pair, capsys):
    ts.migrator.compare_ms_ckpt(*pair, print_level=2)
    shapes, values = tables(capsys.readouterr().out)
    assert [row[0] for row in cells(shapes)[1:]] == ["fc1.weight", "bn1.gamma", "None"]
    assert [row[0] for row in cells(values)[1:]] == ["fc1.weight", "fc1.bias", "bn1.gamma", "None"]


def test_shapes_only(pair, capsys):
    report = ts.migrator.compare_ms_ckpt(*pair, compare_value=False)
    assert tables(capsys.readouterr().out) == (SHAPES, "")
    assert all(row.metrics is None for row in report)


def test_nothing_is_printed_at_level_0(pair, capsys):
    assert not ts.migrator.compare_ms_ckpt(*pair, print_level=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"print_level": 7}, ArgumentError, "print_level"),
        ({"print_level": True}, ArgumentError, "print_level"),
        ({"print_level": "1"}, ArgumentError, "print_level"),
        ({"atol": -1}, ArgumentError, "atol"),
        ({"rtol": None}, ArgumentTypeError, "rtol"),
        ({"weight_map": ({"other": "name"}, {})}, WeightMapError, "other"),
        ({"weight_map_path": "missing.json"}, FileNotFoundError, "missing.json"),
    ],
)
def test_wrong_arguments(pair, capsys, arguments, error, complaint):
    with pytest.raises(error, match=complaint):
        ts.migrator.compare_ms_ckpt(*pair, **arguments)
    assert capsys.readouterr().out == ""


def test_files_that_are_not_there_or_no_paths(pair):
    with pytest.raises(FileNotFoundError, match=r"missing\.ckpt"):
        ts.migrator.compare_ms_ckpt("missing.ckpt", pair[1])
    with pytest.raises(TypeError, match="target_file_path"):
        ts.migrator.compare_ms_ckpt(pair[0], 3)
    with pytest.raises(ValueError, match="orig_ckpt_dict"):
        ts.migrator.compare_ms_ckpt(None, pair[1])


def test_dicts_instead_of_files(capsys):
    same = {"a": np.ones(2)}
    assert ts.migrator.compare_ms_ckpt(None, None, orig_ckpt_dict=same, target_ckpt_dict=same)


MAP = ({"bn.weight": "bn.gamma", "fc.weight": "fc.weight"}, {})


@pytest.mark.parametrize("original", [("bn.weight", "fc.weight"), ("bn.gamma", "fc.weight")])
def test_with_a_map_the_first_column_has_its_source_names(capsys, original):
    ours = {name: np.ones(2) for name in original}
    theirs = {"bn.gamma": np.ones(2), "fc.weight": np.ones(2)}
    report = ts.migrator.compare_ms_ckpt(None, None, orig_ckpt_dict=ours, target_ckpt_dict=theirs, weight_map=MAP)
    assert report
    shapes, _ = tables(capsys.readouterr().out)
    assert [row[:2] for row in cells(shapes)[1:]] == [["bn.weight", "bn.gamma"], ["fc.weight", "fc.weight"]]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A torch network, the same in MindSpore, their files, and the map between."""
    torch, ms = pytest.importorskip("torch"), pytest.importorskip("mindspore")
    nn = ms.nn

    class TorchNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(2, 3, 3)
            self.bn1 = torch.nn.BatchNorm1d(3)
            self.fc1 = torch.nn.Linear(3, 4)

    class MindSporeNet(nn.Cell):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 3, has_bias=True, pad_mode="valid")
            self.bn1 = nn.BatchNorm1d(3)
            self.fc1 = nn.Dense(3, 4)

    folder = tmp_path_factory.mktemp("port")
    ours, theirs = TorchNet(), MindSporeNet()
    torch.save(ours.state_dict(), folder / "net.pth")
    ts.migrator.get_weight_map(ours, weight_map_save_path=folder / "map.json")
    logging.disable(logging.WARNING)
    ts.migrator.convert_weight(
        folder / "map.json", folder / "net.pth", folder / "converted.ckpt", print_conv_info=False
    )
    logging.disable(logging.NOTSET)
    ms.load_param_into_net(theirs, ms.load_checkpoint(str(folder / "converted.ckpt")))
    ms.save_checkpoint(theirs, str(folder / "net.ckpt"))
    return folder, ours, theirs


def test_pth_and_ckpt_after_the_change_of_layout(port, capsys):
    folder, _, _ = port
    before = sorted(folder.iterdir())
    report = ts.migrator.compare_pth_and_ckpt(folder / "map.json", folder / "net.pth", folder / "net.ckpt")
    shapes, values = tables(capsys.readouterr().out)
    assert cells(shapes)[0] == [
        *("Parameter name of torch", "Parameter name of MindSpore", "Whether shape are equal"),
        *("Parameter shape of torch", "Parameter shape of MindSpore"),
    ]
    assert cells(shapes)[1] == ["conv.weight", "conv.weight", "True", "(3, 2, 1, 3)", "(3, 2, 1, 3)"]
    assert ["bn1.weight", "bn1.gamma", "True", "(3,)", "(3,)"] in cells(shapes)
    assert ["bn1.num_batches_tracked", "None", "Not applicable", "0.00%", "nan", "nan, nan"] in cells(values)
    assert report
    assert report.summary.startswith("8 of 8 close; 1 not applicable")
    assert sorted(folder.iterdir()) == before


def test_the_conversion_is_printed_when_asked_for(port, capsys):
    folder, _, _ = port
    ts.migrator.compare_pth_and_ckpt(
        folder / "map.json", folder / "net.pth", folder / "net.ckpt", print_level=0, print_conv_info=True
    )
    printed = capsys.readouterr().out
    assert "The list of conversion result" in printed
    assert "weight->gamma" in printed


def test_a_map_of_another_network_is_refused(port):
    folder, _, _ = port
    with pytest.raises(ValueError, match=r"bn\.weight.*bn1\.weight"):
        ts.migrator.compare_pth_and_ckpt(None, folder / "net.pth", folder / "net.ckpt", weight_map=MAP)


def test_networks_and_files_of_different_frameworks_need_no_map(port):
    folder, ours, theirs = port
    for original, target in (
        (ours, theirs),
        (ours, folder / "net.ckpt"),
        (theirs, folder / "net.pth"),
        (folder / "net.pth", theirs),
        (ours, folder / "net.pth"),
        (theirs, ours),
    ):
        report = ts.compare(original, target)
        assert report, report
        compared = [row for row in report if row.metrics is not None]
        assert len(compared) >= 8


def test_a_network_that_was_trained_further_is_different(port):
    torch = pytest.importorskip("torch")
    folder, ours, _ = port
    import copy

    changed = copy.deepcopy(ours)
    with torch.no_grad():
        changed.bn1.weight[1] += 0.5
    report = ts.compare(changed, folder / "net.ckpt")
    assert [(row.original, row.target, row.metrics.worst) for row in report.failed] == [
        ("bn1.weight", "bn1.gamma", (1,))
    ]


def test_what_is_missing_and_could_be_there_fails(port):
    """Not applicable is only what the other framework has no place for."""
    folder, ours, _ = port
    with ts.open_checkpoint(folder / "net.ckpt") as opened:
        without = {name: array for name, array in opened.items() if name != "bn1.beta"}
    names, layouts = ts.migrator.get_weight_map(ours)
    report = ts.compare(ours, without, weight_map=(names, layouts))
    assert [row.original for row in report.failed] == ["bn1.bias"]
    assert not report
