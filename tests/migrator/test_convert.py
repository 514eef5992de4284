"""The guide's first scenario: weight map, conversion, loading; tables, log lines and errors as they are documented."""

import json
import logging

import numpy as np
import pytest

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
pytest.importorskip("ts_torch.checkpoints")
pytest.importorskip("ts_mindspore.checkpoints")

import ts_core as ts  # noqa: E402 - after the frameworks are known to be there

TABLE = """\
+-------------------------------------------------------------------------------------------------------------------------------------+
|                                                    The list of conversion result                                                    |
+-------------------------+-----------------------------+-------------------+--------------------------+------------------------------+
| Parameter name of torch | Parameter name of MindSpore | Conversion status | Parameter shape of torch | Parameter shape of MindSpore |
+-------------------------+-----------------------------+-------------------+--------------------------+------------------------------+
|        fc1.weight       |          fc1.weight         |     Consistent    |         (10, 2)          |           (10, 2)            |
|        bn1.weight       |          bn1.gamma          |   weight->gamma   |          (10,)           |            (10,)             |
| bn1.num_batches_tracked |   bn1.num_batches_tracked   |     Consistent    |            ()            |              ()              |
|         c.weight        |           c.weight          |  Value converted  |        (3, 2, 1)         |         (3, 2, 1, 1)         |
+-------------------------+-----------------------------+-------------------+--------------------------+------------------------------+
"""  # noqa: E501 - the documented table


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(2, 10)
        self.bn1 = torch.nn.BatchNorm1d(10)
        self.c = torch.nn.Conv1d(2, 3, 1)


class MindSporeNet(mindspore.nn.Cell):
    def __init__(self):
        super().__init__()
        self.fc1 = mindspore.nn.Dense(2, 10)
        self.bn1 = mindspore.nn.BatchNorm1d(10)
        self.c = mindspore.nn.Conv1d(2, 3, 1, has_bias=True)


NAMES = {
    "fc1.weight": "fc1.weight",
    "fc1.bias": "fc1.bias",
    "bn1.weight": "bn1.gamma",
    "bn1.bias": "bn1.beta",
    "bn1.running_mean": "bn1.moving_mean",
    "bn1.running_var": "bn1.moving_variance",
    "bn1.num_batches_tracked": "bn1.num_batches_tracked",
    "c.weight": "c.weight",
    "c.bias": "c.bias",
}


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = TorchNet()
    net.bn1.running_mean.normal_()
    return net


@pytest.fixture
def files(net, tmp_path):
    """The paths of a weight map, a state dict, and a checkpoint that does not exist yet."""
    ts.migrator.get_weight_map(net, tmp_path / "map.json")
    torch.save(net.state_dict(), tmp_path / "net.pth")
    return tmp_path / "map.json", tmp_path / "net.pth", tmp_path / "net.ckpt"


def left_in(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


# get_weight_map


def test_every_entry_of_the_state_dict_is_mapped_in_its_order(net):
    name_map, value_map = ts.migrator.get_weight_map(pt_net=net)
    assert list(name_map) == list(net.state_dict())
    assert name_map == NAMES
    assert list(value_map) == ["c.weight"]


def test_the_map_is_written_as_json(net, tmp_path):
    pair = ts.migrator.get_weight_map(net, str(tmp_path / "map.json"))
    assert json.loads((tmp_path / "map.json").read_text()) == list(pair)


def test_a_prefix_goes_before_every_name(net):
    name_map, _ = ts.migrator.get_weight_map(net, weight_name_prefix="uvp")
    assert name_map == {source: f"uvp.{target}" for source, target in NAMES.items()}


def test_a_custom_function_gets_the_finished_map_and_returns_the_one_to_use(net):
    seen = {}

    def custom(names):
        seen.update(names)
        return {source: target.replace("bn1", "norm") for source, target in names.items()}

    name_map, _ = ts.migrator.get_weight_map(net, weight_name_prefix="uvp", custom_name_func=custom)
    assert seen["bn1.weight"] == "uvp.bn1.gamma"
    assert name_map["bn1.weight"] == "uvp.norm.gamma"


def test_print_map_prints_both_dicts(net, capsys):
    ts.migrator.get_weight_map(net, print_map=True)
    out = capsys.readouterr().out
    assert "'bn1.weight': 'bn1.gamma'" in out
    assert "insert_axis" in out


def test_pt_model_is_a_deprecated_alias(net):
    with pytest.warns(DeprecationWarning, match="pt_net"):
        name_map, _ = ts.migrator.get_weight_map(pt_model=net)
    assert name_map == NAMES


@pytest.mark.parametrize("stranger", [None, 3, "net.pth", {"a": 1}])
def test_what_is_no_network_is_a_type_error(stranger):
    with pytest.raises(TypeError, match="pt_net"):
        ts.migrator.get_weight_map(pt_net=stranger)


def test_a_custom_function_that_is_none_is_a_type_error(net):
    with pytest.raises(TypeError, match="custom_name_func"):
        ts.migrator.get_weight_map(net, custom_name_func="rename")


@pytest.mark.parametrize(
    ("custom", "complaint"),
    [
        (lambda names: {k: v for k, v in names.items() if k != "c.bias"}, "c.bias"),
        (lambda names: {**names, "extra": "extra"}, "extra"),
        (lambda names: {**names, "c.bias": "c.weight"}, "c.weight"),
        (lambda names: None, "custom_name_func must return a dict"),
    ],
)
def test_a_custom_function_that_loses_names_is_told_which(net, tmp_path, custom, complaint):
    with pytest.raises((ValueError, TypeError), match=complaint):
        ts.migrator.get_weight_map(net, tmp_path / "map.json", custom_name_func=custom)
    assert not left_in(tmp_path)


def test_a_missing_folder_is_named_before_anything_is_done(net, tmp_path):
    with pytest.raises(ValueError, match=r"weight_map_save_path.*nowhere"):
        ts.migrator.get_weight_map(net, tmp_path / "nowhere" / "map.json")


# convert_weight


def test_the_table_is_the_documented_one(tmp_path, capsys):
    state = {
        "fc1.weight": torch.zeros(10, 2),
        "bn1.weight": torch.zeros(10),
        "bn1.num_batches_tracked": torch.tensor(3),
        "c.weight": torch.zeros(3, 2, 1),
    }
    pair = (
        {name: NAMES[name] for name in state},
        {"c.weight": "troubleshooter.migrator.mapping_relation.weight_adapter.trans_conv1d_weight_value"},
    )
    ts.migrator.convert_weight(
        weight_map=pair, pt_param_dict=state, ms_file_save_path=tmp_path / "net.ckpt", print_save_path=False
    )
    assert capsys.readouterr().out == TABLE


@pytest.mark.parametrize("form", ["state dict", "module"])
def test_the_checkpoint_holds_every_value(net, files, form):
    weight_map, pth, ckpt = files
    if form == "module":
        torch.save(net, pth)
    report = ts.migrator.convert_weight(str(weight_map), str(pth), str(ckpt))
    loaded = mindspore.load_checkpoint(str(ckpt))
    assert list(loaded) == list(NAMES.values())
    for source, target in NAMES.items():
        expected = net.state_dict()[source].numpy()
        assert loaded[target].asnumpy().reshape(expected.shape).tobytes() == expected.tobytes()
    assert loaded["c.weight"].shape == (3, 2, 1, 1)
    assert [row.target for row in report] == list(NAMES.values())
    assert mindspore.load_param_into_net(MindSporeNet(), loaded) is not None


def test_the_saved_path_is_logged_and_both_outputs_can_be_switched_off(files, capsys, caplog):
    weight_map, pth, ckpt = files
    with caplog.at_level(logging.WARNING, "ts_core"):
        ts.migrator.convert_weight(weight_map, pth, ckpt, print_conv_info=False)
    assert capsys.readouterr().out == ""
    (message,) = caplog.messages
    assert message.startswith("[*User Attention*]")
    assert message.endswith(f"The saved path is: {ckpt}")
    caplog.clear()
    ts.migrator.convert_weight(weight_map, pth, ckpt, print_save_path=False)
    assert not caplog.messages
    assert "The list of conversion result" in capsys.readouterr().out


@pytest.mark.parametrize("alias", ["pt_param_dict", "pth_para_dict"])
def test_a_loaded_dict_and_a_pair_instead_of_files(net, tmp_path, alias):
    pair = ts.migrator.get_weight_map(net)
    ts.migrator.convert_weight(weight_map=pair, ms_file_save_path=tmp_path / "net.ckpt", **{alias: net.state_dict()})
    loaded = mindspore.load_checkpoint(str(tmp_path / "net.ckpt"))
    assert np.array_equal(loaded["bn1.moving_mean"].asnumpy(), net.bn1.running_mean.numpy())


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"pt_file_path": "net.pth"}, "weight_map_path and weight_map"),
        ({"weight_map_path": "map.json"}, "pt_file_path and pt_param_dict"),
    ],
)
def test_an_argument_that_is_missing_is_named(files, arguments, names):
    given = {key: files[0].parent / name for key, name in arguments.items()}
    with pytest.raises(ValueError, match=names):
        ts.migrator.convert_weight(**given, ms_file_save_path=files[2])


def test_the_map_of_another_net_lists_what_differs(net, files):
    weight_map, pth, ckpt = files
    state = net.state_dict()
    state["other.weight"] = state.pop("fc1.weight")
    torch.save(state, pth)
    before = left_in(pth.parent)
    with pytest.raises(ValueError, match=r"map has and the file lacks: fc1\.weight; .*map lacks: other\.weight"):
        ts.migrator.convert_weight(weight_map, pth, ckpt)
    assert left_in(pth.parent) == before


def test_a_file_without_parameters_says_what_it_holds(net, files):
    weight_map, pth, ckpt = files
    optimizer = torch.optim.Adam(net.parameters())
    torch.save(optimizer.state_dict(), pth)
    with pytest.raises(ValueError, match=r"^PTH file parsing failed, possible reasons:.*optimizer"):
        ts.migrator.convert_weight(weight_map, pth, ckpt)
    with pytest.raises(ValueError, match=r"^PTH file parsing failed.*state: no plug-in handles dict"):
        ts.migrator.convert_weight(weight_map, pt_param_dict=optimizer.state_dict(), ms_file_save_path=ckpt)
    assert not ckpt.exists()


def test_a_text_file_is_not_a_checkpoint(files):
    weight_map, pth, ckpt = files
    pth.write_text("epoch 1 loss 0.5")
    before = left_in(pth.parent)
    with pytest.raises(ValueError, match=r"net\.pth"):
        ts.migrator.convert_weight(weight_map, pth, ckpt)
    assert left_in(pth.parent) == before


def test_missing_files_and_folders(files, tmp_path):
    weight_map, pth, ckpt = files
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        ts.migrator.convert_weight(tmp_path / "nothing.json", pth, ckpt)
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        ts.migrator.convert_weight(weight_map, tmp_path / "nothing.pth", ckpt)
    with pytest.raises(ValueError, match=r"ms_file_save_path.*nowhere"):
        ts.migrator.convert_weight(weight_map, pth, tmp_path / "nowhere" / "net.ckpt")


# convert_weight_and_load


def test_loading_leaves_no_file_behind(net, files, tmp_path):
    weight_map, pth, _ = files
    before = left_in(tmp_path)
    target = MindSporeNet()
    ts.migrator.convert_weight_and_load(weight_map, pth, target)
    assert left_in(tmp_path) == before
    values = {p.name: ts.to_numpy(p.value) for p in ts.parameters(target)}
    for source, name in NAMES.items():
        if name in values:
            expected = net.state_dict()[source].numpy()
            assert np.array_equal(values[name].reshape(expected.shape), expected)


def test_a_net_that_does_not_fit_is_unchanged(files):
    weight_map, pth, _ = files
    target = MindSporeNet()
    target.fc1 = mindspore.nn.Dense(3, 10)
    before = {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(target)}
    with pytest.raises(ValueError, match=r"fc1\.weight.*\(10, 3\).*\(10, 2\)"):
        ts.migrator.convert_weight_and_load(weight_map, pth, target)
    assert {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(target)} == before


def test_a_net_that_is_none_is_a_type_error(files):
    weight_map, pth, _ = files
    with pytest.raises(TypeError, match="not a network"):
        ts.migrator.convert_weight_and_load(weight_map, pth, "net")


# save_net_and_weight_params


def test_a_torch_net_is_written_down(net, tmp_path):
    folder = tmp_path / "new" / "folder"
    ts.migrator.save_net_and_weight_params(net, folder)
    assert left_in(folder) == {"torch_troubleshooter_create.pth", "torch_net_map.json", "torch_net_architecture.txt"}
    assert list(torch.load(folder / "torch_troubleshooter_create.pth")) == list(NAMES)
    assert json.loads((folder / "torch_net_map.json").read_text())[0] == NAMES
    assert (folder / "torch_net_architecture.txt").read_text().strip() == str(net)


def test_a_mindspore_net_is_written_down(tmp_path, monkeypatch):
    net = MindSporeNet()
    monkeypatch.chdir(tmp_path)
    ts.migrator.save_net_and_weight_params(net, weight_params_filename="mine.ckpt")
    assert left_in(tmp_path) == {"mine.ckpt", "mindspore_net_architecture.txt"}
    assert set(mindspore.load_checkpoint("mine.ckpt")) == {p.name for p in ts.parameters(net)}
    ts.migrator.save_net_and_weight_params(net, tmp_path / "other")
    assert "mindspore_troubleshooter_create.ckpt" in left_in(tmp_path / "other")


@pytest.mark.parametrize("stranger", [3, "net", torch.ones(2)])
def test_anything_else_is_a_value_error(stranger, tmp_path):
    with pytest.raises(ValueError, match="net"):
        ts.migrator.save_net_and_weight_params(stranger, tmp_path / "new")
    assert not left_in(tmp_path)
