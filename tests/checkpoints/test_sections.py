"""The sections of a torch file: which name each tensor has, what is taken, what is asked, what is left behind."""

import argparse
import collections
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner

import ts_core as ts
from ts_core.cli import cli

torch = pytest.importorskip("torch")
nn = torch.nn

A, B, C = ({"w": torch.full((2,), value)} for value in (1.0, 2.0, 3.0))
T = torch.arange(3.0)


def optimizer(value=1.0):
    return {"state": {0: {"exp_avg": torch.full((2,), value)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


@dataclasses.dataclass
class Saved:
    model: dict
    epoch: int


class Named(dict):
    """A dictionary of a class of its own."""


@pytest.fixture
def save(tmp_path):
    def run(content, name="x.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return run


def run(*arguments):
    """What the command line answers, and what it prints."""
    result = CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.output


ONE = {  # what is in a file with one model → the names of its tensors
    "state dict": (A, ["w"]),
    "nested in a model": ({"model": {"l1": A, "l2": B}}, ["l1.w", "l2.w"]),
    "several levels": (
        {"model": {"l1": {"a": A, "b": [T, T]}, "s": torch.tensor(1.0)}}, ["l1.a.w", "l1.b.0", "l1.b.1", "s"],
    ),
    "int keys": ({0: T, 1: T}, ["0", "1"]),
    "int keys, lists and dicts beside": ({"w": T, 3: T, "l": [T, {"q": T}]}, ["w", "3", "l.0", "l.1.q"]),
    "arrays": ({"model": {"a": np.ones(2), "b": np.ones((2, 3)).T}}, ["a", "b"]),
    "beside an epoch": ({"epoch": torch.tensor(3), "model": A, "optimizer": optimizer()}, ["w"]),
    "beside keys of a scheduler and an optimizer": ({"last_epoch": 3, "param_groups": [1], "net": A}, ["w"]),
    "beside scalars": ({"iter": torch.tensor(5), "acc": np.array(0.5), "net_g": A}, ["w"]),
    "beside random states": (
        {"net": A, "rng": {"a": T, "np": np.random.RandomState(0).get_state()}, "rng_state": T}, ["w"],
    ),
    "beside a scaler": ({"net": A, "scaler": {"scale": torch.tensor(2.0), "growth": 3}}, ["w"]),
    "beside tables and statistics": (
        {"state_dict": A, "table": Saved({"blocks": [np.ones(2)]}, 1), "mean": {"r": np.ones(3)}, "t": Saved(B, 2)},
        ["w"],
    ),
    "model and optimizer in a model": ({"model": {"state_dict": A, "optimizer": optimizer()}}, ["w"]),
    "a list of it": ([A], ["w"]),
    "a tuple with an epoch": ((A, 3), ["w"]),
    "tensors alone": ([T, T], ["0", "1"]),
    "a tensor alone": (T, ["array"]),
    "a module, a criterion, an optimizer": (
        [nn.Linear(1, 1), nn.MSELoss(), torch.optim.SGD([nn.Parameter(T)], 0.1)], ["weight", "bias"],
    ),
    "UserDict": (collections.UserDict(A), ["w"]),
    "Namespace": (argparse.Namespace(model=A, lr=0.1), ["w"]),
    "dataclass": (Saved(A, 3), ["w"]),
    "compiled": (torch.compile(nn.Linear(1, 1)), ["_orig_mod.weight", "_orig_mod.bias"]),
    "traced": (torch.fx.symbolic_trace(nn.Sequential(nn.Linear(1, 1))), ["0.weight", "0.bias"]),
    "storages": ({"s": torch.ones(2).untyped_storage(), "w": T}, ["s", "w"]),
    "names that are the same": ({1: T, "1": T, "a.b": T, "a": {"b": T}}, ["1", "1#2", "a.b", "a.b#2"]),
}  # fmt: skip


@pytest.mark.parametrize("what", ONE)
def test_one_model_is_taken_under_names_of_its_own(save, what):
    content, names = ONE[what]
    with ts.open_checkpoint(save(content)) as checkpoint:
        assert list(checkpoint) == names
        assert not checkpoint.undecided
        for name in checkpoint:
            assert checkpoint[name].dtype == checkpoint.info(name).dtype


SEVERAL = {
    "two nets": ({"generator": A, "discriminator": B}, ["generator", "discriminator"]),
    "a scalar beside them": ({"net_g": A, "net_d": B, "iter": torch.tensor(5)}, ["net_g", "net_d"]),
    "a copy": ({"state_dict": A, "ema": B}, ["state_dict", "ema"]),
    "int keys": ({0: A, 1: B}, ["0", "1"]),
    "a list": ({"models": [A, B]}, ["models.0", "models.1"]),
    "modules": ({"a": nn.Linear(1, 1), "b": nn.PReLU(), "z": T}, ["a", "b"]),
    "a dict of a class": ({"g": Named(A), "d": B}, ["g", "d"]),
    "optimizers beside them": ({"g": A, "d": B, "optim_g": optimizer(), "optim_d": optimizer()}, ["g", "d"]),
}


@pytest.mark.parametrize("what", SEVERAL)
def test_several_models_have_full_names_and_are_asked_about(save, tmp_path, what):
    content, models = SEVERAL[what]
    path = save(content)
    with ts.open_checkpoint(path) as checkpoint:
        sections = {section.name: section.tensors for section in checkpoint.index.sections if section.kind == "model"}
        assert list(sections) == models
        assert list(checkpoint) == [f"{name}.{own}" if name else own for name in models for own in sections[name]]
        assert checkpoint.undecided == tuple(models)
    for destination in ("y.ckpt", "y.pth", "y.safetensors"):
        with pytest.raises(ts.errors.ArgumentError, match=rf"{len(models)} models: '{models[0]}'.*--key {models[0]}"):
            ts.convert(path, tmp_path / destination)
        assert not (tmp_path / destination).exists()
    with pytest.raises(ts.errors.ArgumentError, match="models"):
        ts.transfer(path, nn.Linear(1, 1))
    report = ts.convert(path, tmp_path / "one.ckpt", key=models[1])
    assert report
    assert f"model {models[0]!r}" in str(report)
    assert list(ts.open_checkpoint(tmp_path / "one.ckpt")) == list(sections[models[1]])
    everything = ts.convert(path, tmp_path / "all.ckpt", key="")
    assert everything
    assert set(ts.open_checkpoint(tmp_path / "all.ckpt")) >= {f"{models[1]}.{name}" for name in sections[models[1]]}
    assert run("convert", path, tmp_path / "cli.ckpt", "--key", models[1], "--quiet") == (0, "")


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("optimizer", ["state.0.exp_avg"]),
        ("optimizer.state", ["0.exp_avg"]),
        ("optimizer.state.0", ["exp_avg"]),
        ("optimizer.state.0.exp_avg", ["exp_avg"]),
        ("models", ["0.w", "1.w"]),
        ("models.1", ["w"]),
        ("7", ["w"]),
        ("iter", ["iter"]),
        ("", ["models.0.w", "models.1.w", "7.w", "optimizer.state.0.exp_avg", "iter"]),
    ],
)
def test_key_selects_at_any_level(save, key, names):
    path = save({"models": [A, B], 7: C, "optimizer": optimizer(), "iter": torch.tensor(5), "note": "n"})
    with ts.open_checkpoint(path, key=key) as checkpoint:
        assert list(checkpoint) == names
        assert not checkpoint.undecided
        assert checkpoint.metadata["note"] == "n"


DIFFER = {  # two contents that differ in something that is a tensor
    "a second model": ({"generator": A, "discriminator": B}, {"generator": A, "discriminator": C}, "discriminator.w"),
    "a copy": ({"state_dict": A, "ema": B}, {"state_dict": A, "ema": C}, "ema.w"),
    "int keys": ({0: A, 1: B}, {0: A, 1: C}, "1.w"),
    "lists": ([A, B], [A, C], "1.w"),
    "nested": ({"model": {"l1": A, "l2": B}}, {"model": {"l1": A, "l2": C}}, "l2.w"),
    "the optimizer": (
        {"model": A, "optimizer": optimizer(1)}, {"model": A, "optimizer": optimizer(2)}, "optimizer.state.0.exp_avg",
    ),
    "only optimizers": (optimizer(1), optimizer(2), "state.0.exp_avg"),
    "an optimizer of another name": (
        {"model": A, "optimizer": optimizer(1)}, {"state_dict": A, "opt": optimizer(2)}, "optimizer.state.0.exp_avg",
    ),
    "a scalar": ({"model": A, "iter": torch.tensor(5)}, {"model": A, "iter": torch.tensor(6)}, "iter"),
    "random states": ({"model": A, "rng": T}, {"model": A, "rng": T + 1}, "rng"),
    "arrays": ({"model": A, "extra": [np.ones(2)]}, {"model": A, "extra": [np.zeros(2)]}, "extra.0"),
    "an empty key": ({"": A, "d": B}, {"": A, "d": C}, "d.w"),
    "under an empty key": ({"": {"optimizer": optimizer(1)}, "w": T}, {"": {"optimizer": optimizer(2)}, "w": T},
                           ".optimizer.state.0.exp_avg"),
    "keys that are spelled alike": ({0: A, "0": B}, {0: A, "0": C}, "0.w#2"),
    "paths that are spelled alike": ({"a.b": A, "a": {"b": B, "c": A}}, {"a.b": A, "a": {"b": C, "c": A}}, "a.b.w#2"),
    "tensors that one lacks": (
        {"model": A, "optimizer": {**optimizer(), "more": T}}, {"model": A, "optimizer": optimizer()}, "optimizer.more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFER)
def test_compare_sees_every_section(save, what):
    one, other, name = DIFFER[what]
    a, b = save(one, "a.pth"), save(other, "b.pth")
    assert ts.compare(a, a, progress=False)
    assert ts.compare(b, b, progress=False)
    for workers in (1, 2):
        report = ts.compare(a, b, workers=workers, progress=False)
        assert not report
        assert [row.name for row in report.failed] == [name]
        assert not report.notes
    code, output = run("compare", a, b)
    assert code == 1
    assert name in output


def test_a_section_of_one_side_only_is_one_note(save, tmp_path):
    training = save({"model": A, "optimizer": optimizer(), "iter": torch.tensor(3), "epoch": 2}, "a.pth")
    plain = save(A, "b.pth")
    ts.save_checkpoint(A, tmp_path / "c.safetensors")
    for original, target in (
        (training, plain),
        (plain, training),
        (training, tmp_path / "c.safetensors"),
        (training, A),
    ):
        report = ts.compare(original, target, progress=False)
        assert report
        assert [row.name for row in report] == ["w"]
        assert len(report.notes) == 2
        assert "optimizer 'optimizer'" in report.notes[0]
        assert "iter" in report.notes[1]
        assert all(note in str(report) and note in report.to_json() for note in report.notes)
    report = ts.compare(save({"a": A, "b": B}, "d.pth"), save({"a": A}, "e.pth"), progress=False)
    assert report
    assert ["model 'b'" in note for note in report.notes] == [True]
    assert "optimizer" in run("compare", training, plain)[1]


def test_which_models_belong_together_is_asked(save):
    a, b = save({"g": A, "d": B}, "a.pth"), save(A, "b.pth")
    with pytest.raises(ts.errors.ComparisonError, match=r"'g', 'd'.*source_options=\{'key': 'g'\}.*--key a:g"):
        ts.compare(a, b, progress=False)
    assert ts.compare(a, b, source_options={"key": "g"}, progress=False)
    assert not ts.compare(a, b, source_options={"key": "d"}, progress=False)
    assert run("compare", a, b, "--key", "a:g")[0] == 0
    assert run("compare", b, a, "--key", "b:d")[0] == 1
    assert run("compare", a, a, "--key", "d")[0] == 0


def test_with_a_map_the_models_are_mapped_and_the_rest_goes_by_name(save):
    a = save({"model": A, "optimizer": optimizer(1)}, "a.pth")
    b = save({"model": {"v": A["w"]}, "optimizer": optimizer(2)}, "b.pth")
    report = ts.compare(a, b, weight_map=({"w": "v"}, {}), progress=False)
    assert [(row.original, row.target, bool(row)) for row in report] == [
        ("w", "v", True), ("optimizer.state.0.exp_avg", "optimizer.state.0.exp_avg", False),
    ]  # fmt: skip


def test_what_is_left_behind_is_a_note(save, tmp_path):
    content = {
        "epoch": 3, "list": [1], "model": A, "optimizer": optimizer(), "rng": torch.get_rng_state(),
        "scheduler": {"last_epoch": 3, "_last_lr": [0.1]}, "sparse": torch.eye(2).to_sparse(),
    }  # fmt: skip
    report = ts.convert(save(content), tmp_path / "y.ckpt")
    assert report
    (note,) = (note for note in report.notes if "Left behind" in note)
    for words in ("optimizer 'optimizer' (1 tensor)", "scheduler 'scheduler'", "rng", "sparse"):
        assert words in note
    assert list(ts.open_checkpoint(tmp_path / "y.ckpt")) == ["w"]


def test_what_is_no_tensor_goes_into_a_ckpt_when_it_is_asked_for(save, tmp_path):
    path = save({"epoch": 3, "note": "n", "best": np.float64(0.5), "model": A})
    report = ts.convert(path, tmp_path / "y.ckpt")
    assert "metadata= asks for it): best, epoch, note" in str(report)
    with ts.open_checkpoint(tmp_path / "y.ckpt") as checkpoint:
        assert list(checkpoint) == ["w"]
        assert not checkpoint.metadata
    report = ts.convert(path, tmp_path / "y.ckpt", metadata={"epoch": 3, "note": "n"})
    assert "asks for it): best" in str(report)
    with ts.open_checkpoint(tmp_path / "y.ckpt") as checkpoint:
        assert (list(checkpoint), checkpoint["epoch"].item()) == (["w", "epoch"], 3)
        assert checkpoint.metadata == {"note": "n"}
    ts.convert(tmp_path / "y.ckpt", tmp_path / "z.ckpt")  # it has them already
    assert ts.open_checkpoint(tmp_path / "z.ckpt").metadata == {"note": "n"}
    ts.save_checkpoint(ts.open_checkpoint(path), tmp_path / "s.ckpt")
    assert list(ts.open_checkpoint(tmp_path / "s.ckpt")) == ["w"]
    ts.convert(path, tmp_path / "y.pth")
    assert ts.open_checkpoint(tmp_path / "y.pth").metadata["epoch"] == 3


def test_the_guide_s_functions_see_the_model_alone(tmp_path, capsys):
    pytest.importorskip("ts_mindspore.checkpoints")
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    torch.save({"epoch": 3, "model": net.state_dict(), "optimizer": optimizer()}, tmp_path / "x.pth")
    pair = ts.migrator.get_weight_map(net, tmp_path / "m.json")
    report = ts.migrator.convert_weight(
        weight_map=pair, pt_file_path=tmp_path / "x.pth", ms_file_save_path=tmp_path / "y.ckpt"
    )
    assert report
    assert ["optimizer" in note or "epoch" in note for note in report.notes] == [True, True]
    assert "epoch" not in ts.open_checkpoint(tmp_path / "y.ckpt")
    compared = ts.migrator.compare_pth_and_ckpt(tmp_path / "m.json", tmp_path / "x.pth", tmp_path / "y.ckpt")
    assert compared, capsys.readouterr().out
    torch.save({"g": net.state_dict(), "d": net.state_dict()}, tmp_path / "x.pth")
    with pytest.raises(ts.errors.ArgumentError, match=r"2 models: 'g', 'd'.*ts\.open_checkpoint"):
        ts.migrator.convert_weight(
            weight_map=pair, pt_file_path=tmp_path / "x.pth", ms_file_save_path=tmp_path / "z.ckpt"
        )
    with ts.open_checkpoint(tmp_path / "x.pth", key="g") as chosen:
        ts.migrator.convert_weight(weight_map=pair, pt_param_dict=chosen, ms_file_save_path=tmp_path / "z.ckpt")


def test_sections_travel_to_other_processes(save):
    net = nn.Linear(1, 1)
    net.register_buffer("transient", T, persistent=False)
    content = {"g": net, "d": A, "optim": optimizer(), 1: T[:1], "1": T[1:2], "args": {"a": T}}
    with ts.open_checkpoint(save(content)) as checkpoint:
        whole = checkpoint.whole()
        again = pickle.loads(pickle.dumps(whole))
        assert list(again) == list(whole)
        assert {"g.transient", "optim.state.0.exp_avg", "args.a", "1", "1#2"} < set(whole)
        for name in whole:
            assert again[name].tolist() == whole[name].tolist()
        with ThreadPoolExecutor(2) as executor:
            assert ts.compare(checkpoint, checkpoint, executor=executor, progress=False)


def test_a_key_or_prefix_chooses_what_is_compared(save):
    a = save({"g": {"module.w": A["w"]}, "d": B, "optimizer": optimizer()}, "a.pth")
    b = save({"module.w": A["w"], "x": T}, "b.pth")
    report = ts.compare(a, b, source_options={"key": "g"}, progress=False)
    assert [(row.name, bool(row)) for row in report] == [("module.w", True), ("x", False)]
    report = ts.compare(
        a, {"w": A["w"]}, source_options={"key": "g", "strip_prefix": "module."}, progress=False
    )  # fmt: skip
    assert report
    assert not report.notes
    report = ts.compare(a, a, source_options={"key": ""}, progress=False)
    assert report
    assert len(report) == 3


def test_inspect_lists_sections_and_what_has_no_dense_array(save):
    path = save({"model": A, "optimizer": optimizer(), "odd": torch.eye(2).to_sparse()})
    _, output = run("inspect", path)
    for words in ("optimizer", "odd has no dense array: sparse", "torch: 1 tensor, 2 elements"):
        assert words in output
