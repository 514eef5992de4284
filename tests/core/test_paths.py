"""Whatever is wrong with a path, each verb answers with an error of ours that names it."""

import contextlib
import ctypes
import io
import os
import sys

import numpy as np
import pytest

import ts_core as ts
from ts_core import cli
from ts_core.errors import TsError
from ts_core.text import safe

torch = pytest.importorskip("torch")

TENSORS = {"w": np.ones((2, 2), np.float32)}


def long_name(folder):
    return folder / ("x" * 300)


def long_path(folder):
    return folder.joinpath(*["d" * 100] * 50)


def nul(folder):
    return folder / "a\0b"


def half_a_character(folder):
    return folder / "a\ud800b"


def loop(folder):
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def inside_a_loop(folder):
    (folder / "loop").symlink_to("loop")
    return folder / "loop" / "x"


def inside_a_file(folder):
    return folder / "good.npz" / "x"


def dangling(folder):
    (folder / "link").symlink_to("absent/x")
    return folder / "link"


def absent(folder):
    return folder / "absent" / "x"


def no_entry(folder):
    return folder / "locked" / "x"


IMPOSSIBLE = [long_name, long_path, nul, half_a_character, inside_a_loop, inside_a_file, no_entry]
EVERYWHERE = [*IMPOSSIBLE, loop, dangling, absent]


@pytest.fixture
def folder(tmp_path):
    ts.save_checkpoint(TENSORS, tmp_path / "good.npz")
    ts.save_checkpoint(TENSORS, tmp_path / "good.pth")
    ts.weight_map(tmp_path / "good.npz", tmp_path / "good.npz").save(tmp_path / "good.json")
    (tmp_path / "saved").mkdir()
    np.save(tmp_path / "saved" / "x_0.npy", np.ones(2))
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked").mkdir(mode=0)
    yield tmp_path
    (tmp_path / "locked").chmod(0o700)


@contextlib.contextmanager
def as_a_usual_user():
    """The superuser may enter any folder, unless the kernel's two capabilities for it are put aside: see capset(2)."""
    if os.geteuid():
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    assert library.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(held[0] & ~0b110, *held[1:])
    assert library.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert library.capset(header, held) == 0


def reading(path, folder):
    """Every verb that reads, with the path in each place that takes one."""
    good, net = folder / "good.npz", torch.nn.Linear(2, 2)
    return {
        "open": lambda: ts.open_checkpoint(path),
        "open text": lambda: ts.open_checkpoint(str(path)),
        "compare original": lambda: ts.compare(path, good),
        "compare target": lambda: ts.compare(good, path),
        "compare map": lambda: ts.compare(good, good, weight_map=path),
        "convert source": lambda: ts.convert(path, folder / "o.npz"),
        "convert target": lambda: ts.convert(good, folder / "o.npz", target=path),
        "convert map": lambda: ts.convert(good, folder / "o.npz", weight_map=path),
        "map source": lambda: ts.weight_map(path, good),
        "map target": lambda: ts.weight_map(good, path),
        "map load": lambda: ts.WeightMap.load(path),
        "transfer": lambda: ts.transfer(path, net),
        "transfer map": lambda: ts.transfer(good, net, weight_map=path),
        "compare_ms_ckpt": lambda: ts.migrator.compare_ms_ckpt(path, good),
        "compare_pth_and_ckpt": lambda: ts.migrator.compare_pth_and_ckpt(folder / "good.json", path, good),
        "compare_pth_and_ckpt map": lambda: ts.migrator.compare_pth_and_ckpt(path, folder / "good.pth", good),
        "convert_weight": lambda: ts.migrator.convert_weight(folder / "good.json", path, folder / "o.ckpt"),
        "convert_weight map": lambda: ts.migrator.convert_weight(path, folder / "good.pth", folder / "o.ckpt"),
        "convert_weight_and_load": lambda: ts.migrator.convert_weight_and_load(path, folder / "good.pth", net),
        "compare_npy_dir": lambda: ts.migrator.compare_npy_dir(path, folder / "saved"),
        "compare_list_dir": lambda: ts.migrator.compare_list_dir(folder / "saved", path),
        "compare_grads_dir": lambda: ts.migrator.compare_grads_dir(folder / "saved", path),
        "object_load": lambda: ts.widget.object_load(path),
        "load_ms_weight2net": lambda: ts.widget.load_ms_weight2net(net, path),
        "loss_compare": lambda: ts.widget.loss_compare(
            {"path": path, "loss_tag": "l", "label": "a"}, {"path": path, "loss_tag": "l", "label": "b"}
        ),
    }


def writing(path, folder):
    """Every verb that writes."""
    good, net = folder / "good.npz", torch.nn.Linear(2, 2)
    report, found = ts.compare(good, good), ts.weight_map(good, good)
    return {
        "convert": lambda: ts.convert(good, path, format="npz"),
        "convert shards": lambda: ts.convert(good, path, format="safetensors", max_shard_size=1),
        "save_checkpoint": lambda: ts.save_checkpoint(TENSORS, path, format="safetensors"),
        "save_checkpoint text": lambda: ts.save_checkpoint(TENSORS, str(path), format="torch"),
        "to_csv": lambda: report.to_csv(path),
        "to_json": lambda: report.to_json(path),
        "map save": lambda: found.save(path),
        "get_weight_map": lambda: ts.migrator.get_weight_map(net, path),
        "convert_weight": lambda: ts.migrator.convert_weight(folder / "good.json", folder / "good.pth", path),
        "compare_npy_dir": lambda: ts.migrator.compare_npy_dir(folder / "saved", folder / "saved", output_file=path),
        "object_dump": lambda: ts.widget.object_dump({"a": 1}, path),
    }


def commands(path, folder):
    """Every command, with the path in each place that takes one."""
    good = folder / "good.npz"
    for line in (
        ["inspect", path],
        ["compare", path, good],
        ["compare", good, path],
        ["compare", good, good, "--map", path],
        ["compare", good, good, "--json", path],
        ["compare", good, good, "--csv", path],
        ["convert", path, folder / "o.npz"],
        ["convert", good, path, "--format", "npz"],
        ["convert", good, folder / "o.npz", "--map", path],
        ["convert", good, folder / "o.npz", "--like", path],
        ["map", path],
        ["map", good, "--like", path],
        ["map", good, "--like", good, "-o", path],
    ):
        yield [str(word) for word in line]


def refused(name, action, path, folder):
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), as_a_usual_user():
            action()
    except TsError as problem:
        words = str(problem)
        assert safe(path) in words or safe(path.name) in words or safe(path.parent) in words, f"{name}: {words}"
        return
    pytest.fail(f"{name}: it took {path}")


@pytest.mark.parametrize("make", EVERYWHERE)
def test_reading(make, folder, monkeypatch):
    monkeypatch.chdir(folder)
    path = make(folder)
    for name, action in reading(path, folder).items():
        refused(name, action, path, folder)


@pytest.mark.parametrize("make", EVERYWHERE)
def test_writing(make, folder):
    path = make(folder)
    actions = writing(path, folder)
    before = sorted(folder.rglob("*"))
    for name, action in actions.items():
        refused(name, action, path, folder)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("make", IMPOSSIBLE)
def test_saving_tensors(make, folder):
    path = make(folder)
    refused("save", lambda: ts.save(path, np.ones(2)), path, folder)
    tensor = torch.ones(2, requires_grad=True)
    refused("save_grad", lambda: ts.save_grad(path, tensor * 1).sum().backward(), path, folder)
    net = torch.nn.Linear(2, 2)
    if make not in (half_a_character, nul):
        refused("network", lambda: ts.migrator.save_net_and_weight_params(net, path), path, folder)
    refused("network", lambda: ts.migrator.save_net_and_weight_params(net, folder, str(path)), path, folder)


@pytest.mark.parametrize("key", ["a\0b", "a\ud800b", "x" * 300])
def test_saving_under_a_key_that_is_no_name(key, folder):
    with pytest.raises(ts.errors.SaveError):
        ts.save(folder / "x", {key: np.ones(2)})


@pytest.mark.parametrize("make", [lambda folder: folder / "folder", lambda folder: folder])
def test_a_folder_where_a_file_should_be(make, folder):
    path = make(folder)
    for name, action in reading(path, folder).items():
        if name not in ("compare_npy_dir", "compare_list_dir", "compare_grads_dir"):
            refused(name, action, path, folder)
    for name, action in writing(path, folder).items():
        if "shards" not in name:
            refused(name, action, path, folder)


@pytest.mark.parametrize("make", EVERYWHERE)
def test_every_command(make, folder, monkeypatch):
    path = make(folder)
    for words in commands(path, folder):
        monkeypatch.setattr(sys, "argv", ["ts", *words])
        shown = io.StringIO()
        redirected = contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown)
        with redirected[0], redirected[1], as_a_usual_user(), pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 2, words
        assert "ts: " in shown.getvalue(), words


@pytest.mark.parametrize("given", [5, None, b"x.npz", 1.5, ["x.npz"], object(), ""])
def test_what_is_no_path(given, folder, monkeypatch):
    """Some verbs take more than paths; none of them has a raw exception for it."""
    monkeypatch.chdir(folder)
    may_be_left_out = ("to_", "get_weight_map", "compare map", "convert target", "convert map", "transfer map")
    for name, action in {**reading(given, folder), **writing(given, folder)}.items():
        if "text" in name or (given is None and name.startswith((*may_be_left_out, "compare_npy_dir"))):
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                action()
            except TsError:
                continue
        pytest.fail(f"{name}: it took {given!r}")


@pytest.mark.parametrize("name", ["x" * 300, "y" * 5000])
def test_a_name_that_may_be_that_of_a_framework(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    for run in (
        lambda: ts.weight_map("good.pth", name),
        lambda: ts.convert("good.pth", "new.pth", target=name),
        lambda: ts.convert("good.pth", "new.pth", to=name),
    ):
        with pytest.raises(TsError, match=name[:100]):
            run()
