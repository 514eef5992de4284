"""Folders of ``.npy`` files as sources, files that are replaced meanwhile, options of opening, and memory."""

import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import ts_core as ts
from ts_core.checkpoints import npy_folder
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError, WeightMapError

GOOD = np.arange(4.0)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def save(tmp_path):
    """``save(folder, name=array, …)`` writes the arrays as ``.npy`` files."""

    def write(folder, **arrays):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, array in arrays.items():
            np.save(tmp_path / folder / f"{name}.npy", array)
        return tmp_path / folder

    return write


def _too_long(path):
    path.write_bytes(path.read_bytes() + b"\0\0")


def _too_short(path):
    path.write_bytes(path.read_bytes()[:-8])


def _no_array(path):
    path.write_bytes(b"no array")


def _strings(path):
    np.save(path, np.full(np.load(path).shape, "x"))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("damage", [_too_long, _too_short, _no_array, _strings])
def test_one_answer_about_a_damaged_file_by_whichever_way_it_is_read(save, damage, large):
    array = np.zeros(1 << 18) if large else GOOD
    ours, theirs = save("a", x=array, y=GOOD, z=GOOD), save("b", x=array, y=GOOD, z=GOOD)
    damage(ours / "x.npy")
    for path in (ours, ours / "x.npy"):
        with pytest.raises(CheckpointError, match=r"x\.npy"):
            ts.open_checkpoint(path)
    same = ({name: name for name in "xyz"}, {})
    status = "dtype is not comparable" if damage is _strings else "unreadable"
    ts.save_checkpoint({"x": array, "y": GOOD, "z": GOOD}, theirs.parent / "b.npz")
    for target in (theirs, theirs.parent / "b.npz"):
        for arguments in ({}, {"weight_map": same}):
            report = ts.compare(ours, target, **arguments)
            assert [row.status.value for row in report] == [status, "close", "close"]
            assert damage is _strings or "x.npy" in report.rows[0].detail
    assert [bool(row) for row in ts.migrator.compare_npy_dir(ours, theirs)] == [False, True, True]


def test_a_damaged_file_that_the_map_does_not_know_is_a_row(save):
    ours, theirs = save("a", x=GOOD, y=GOOD), save("b", y=GOOD)
    _no_array(ours / "x.npy")
    report = ts.compare(ours, theirs, weight_map=({"y": "y"}, {}))
    assert [(row.name, row.status.value) for row in report] == [("x", "not in target"), ("y", "close")]


def test_a_map_that_does_not_fit_is_refused_all_the_same(save):
    ours, theirs = save("a", x=GOOD), save("b", x=GOOD)
    with pytest.raises(WeightMapError, match="other"):
        ts.compare(ours, theirs, weight_map=({"other": "x"}, {}))
    with pytest.raises(WeightMapError, match="x"):
        ts.compare(ours, theirs, weight_map=({"x": "x"}, {"x": {"transform": "transpose", "axes": [1, 0]}}))


def test_shapes_of_a_folder_with_a_damaged_file(save, capsys):
    ours, theirs = save("a", x=GOOD, y=GOOD), save("b", x=GOOD, y=GOOD)
    _no_array(ours / "x.npy")
    report = ts.migrator.compare_ms_ckpt(ours, theirs, compare_value=False)
    assert [row.status.value for row in report] == ["unreadable", "close"]
    capsys.readouterr()


def test_the_names_of_a_folder_are_in_the_order_of_saving(save):
    folder = save("a", b_10=GOOD, z_9=GOOD, none=GOOD)
    assert list(npy_folder(folder)) == list(ts.open_checkpoint(folder)) == ["z_9", "b_10", "none"]


@pytest.mark.parametrize("size", [4, 1 << 18])
def test_a_file_of_a_folder_that_was_replaced_is_told(save, processes, size):
    one, three = np.ones(size), np.full(size, 3.0)
    folder = npy_folder(save("a", x=three, y=one))
    save("a", x=one)
    for opened in (folder, pickle.loads(pickle.dumps(folder))):
        assert opened["y"].tolist() == one.tolist()
        with pytest.raises(CheckpointError, match=r"x\.npy: the file was replaced"):
            opened.read("x")
    target = save("b", x=three, y=one)
    for arguments in ({}, {"executor": processes}):
        report = ts.compare(folder, target, **arguments)
        assert [row.status.value for row in report] == ["unreadable", "close"]
        assert "replaced" in report.rows[0].detail


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "npy"])
def test_a_checkpoint_that_was_replaced_is_told_by_workers_that_open_it_again(tmp_path, processes, suffix):
    def write(path, value):
        new = tmp_path / f"new.{suffix}"
        if suffix == "npy":
            np.save(new, np.full(5, value))
        else:
            ts.save_checkpoint({"array": np.full(5, value)}, new)
        new.replace(path)

    paths = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    for path in paths:
        write(path, 3.0)
    with ts.open_checkpoint(paths[0]) as first, ts.open_checkpoint(paths[1]) as second:
        assert ts.compare(first, second, executor=processes)
        write(paths[1], 1.0)
        (row,) = ts.compare(pickle.loads(pickle.dumps(first)), second).rows
        assert row or suffix == "npy"  # which is read anew, and told
        with pytest.raises(CheckpointError, match="replaced"):
            pickle.loads(pickle.dumps(second))["array"]
    (row,) = ts.compare(first, paths[1], executor=processes).rows
    assert row.metrics.worst_original == 3.0


def test_a_checkpoint_of_shards_travels(tmp_path, processes):
    tensors = {f"w{i}": np.full(1000, i, "f4") for i in range(5)}
    ts.save_checkpoint(tensors, tmp_path / "a.safetensors", max_shard_size=5000)
    with ts.open_checkpoint(tmp_path) as opened:
        assert opened.travels
        assert ts.compare(opened, tensors, executor=processes)
        shard = sorted(tmp_path.glob("*.safetensors"))[0]
        shard.write_bytes(shard.read_bytes())
        with pytest.raises(CheckpointError, match="replaced"):
            pickle.loads(pickle.dumps(opened))


class _Broken(LazyTensors):
    """A source that is in no file, and of which one tensor cannot be read."""

    index = CheckpointIndex({name: TensorInfo(name, (4,), np.dtype("f8"), 32) for name in "xy"})

    def read(self, name):
        if name == "x":
            raise CheckpointError("x: the device is lost")
        return GOOD


def test_what_cannot_be_read_to_be_sent_is_a_row(processes):
    report = ts.compare(_Broken(), {"x": GOOD, "y": GOOD}, executor=processes)
    assert [(row.status.value, row.detail) for row in report] == [
        ("unreadable", "x: the device is lost"),
        ("close", ""),
    ]


def test_options_of_opening(tmp_path, save):
    torch = pytest.importorskip("torch")
    torch.save({"ema": {"module.x": torch.ones(2)}, "net": {"module.x": torch.zeros(2)}}, tmp_path / "a.pth")
    ema = {"key": "ema", "strip_prefix": "module."}
    ones, zeros = {"x": np.ones(2, "f4")}, {"x": np.zeros(2, "f4")}
    assert ts.compare(tmp_path / "a.pth", ones, source_options=ema)
    assert ts.compare(zeros, tmp_path / "a.pth", target_options=ema | {"key": "net", "verify": True})
    assert not ts.compare(
        str(tmp_path / "a.pth"), tmp_path / "a.pth", source_options=ema, target_options={**ema, "key": "net"}
    )
    folder = save("a", **{"module.x": GOOD, "y": GOOD})
    _no_array(folder / "y.npy")
    report = ts.compare(folder, {"x": GOOD, "y": GOOD}, source_options={"strip_prefix": "module."})
    assert [(row.name, row.status.value) for row in report] == [("x", "close"), ("y", "unreadable")]


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"source_options": {"kye": "ema"}}, ArgumentError, r"source_options.*kye.*key, strip_prefix, verify, trust_"),
        ({"target_options": [1]}, ArgumentTypeError, "target_options must be a dict"),
        ({"target_options": {"key": "ema"}}, ArgumentError, "target_options.*no path but dict"),
        ({"source_options": {"strip_prefix": "absent."}}, ArgumentError, "absent"),
    ],
)
def test_wrong_options_of_opening(save, options, error, complaint):
    with pytest.raises(error, match=complaint):
        ts.compare(save("a", x=GOOD), {"x": GOOD}, **options)
    assert ts.compare(save("a", x=GOOD), {"x": GOOD}, source_options={}, target_options={})


_PEAK = """
import resource, sys
import ts_core as ts
from ts_core.comparison import _metrics

unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
assert ts.compare(*sys.argv[1:3], workers=1, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system as Unix does")
@pytest.mark.parametrize("order", ["CC", "FF", "CF"])
def test_what_was_compared_does_not_stay_in_memory(tmp_path, order):
    """Mapped pages count. A process that is started has the peak of who starts it: the shell is small."""
    array = np.random.default_rng(0).standard_normal((6000, 3000))  # 137 MiB, of which a piece has 64
    for name, layout in zip("ab", order, strict=True):
        np.save(tmp_path / f"{name}.npy", np.asarray(array, order=layout))
    command = [sys.executable, "-c", _PEAK, tmp_path / "a.npy", tmp_path / "b.npy"]
    done = subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *command], capture_output=True, text=True, check=True)
    assert int(done.stdout) < {"CC": 40, "FF": 190, "CF": 190}[order] << 20
