"""Threads, processes, clusters: the same rows whoever compares, and a clean end when somebody interrupts."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import ts_core as ts
from ts_core.comparison import _engine as engine
from ts_core.comparison import _pieces as pieces
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError, ArgumentTypeError, CheckpointError, ComparisonError
from ts_core.work import _processes as workers


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two files: a tensor of several pieces, one that differs, one of another shape, one alone on either side."""
    folder = tmp_path_factory.mktemp("checkpoints")
    rng = np.random.default_rng(0)
    original = {f"layers.{i}.weight": rng.standard_normal((20, 30)).astype("f4") for i in range(40)}
    original |= {
        "embedding": rng.standard_normal((5000, 2000)).astype("f4"),
        "shape": np.ones(3, "f4"),
        "only.here": np.ones(2, "f4"),
    }
    target = original | {"shape": np.ones(4, "f4"), "layers.3.weight": original["layers.3.weight"] + np.float32(0.1)}
    target["embedding"] = original["embedding"].copy()
    target["embedding"][4321, 1234] += 1
    target["only.there"] = target.pop("only.here")
    paths = str(folder / "original.npz"), str(folder / "target.npz")
    for tensors, path in zip((original, target), paths, strict=True):
        ts.save_checkpoint(tensors, path)
    return paths


@pytest.fixture(scope="module")
def expected(checkpoints):
    return ts.compare(*checkpoints, workers=1).rows


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_the_expected_rows(expected):
    found = {row.name: row for row in expected}
    assert found["embedding"].metrics.worst == (4321, 1234)
    assert found["embedding"].metrics.unequal == 1
    failed = {row.name for row in expected if not row}
    assert failed == {"embedding", "shape", "layers.3.weight", "only.here", "only.there"}


@pytest.mark.parametrize("workers", [None, 2, 7])
def test_the_number_of_threads_changes_nothing(checkpoints, expected, workers):
    assert ts.compare(*checkpoints, workers=workers).rows == expected


def test_processes_open_the_files_themselves(checkpoints, expected, processes):
    assert ts.compare(*checkpoints, executor=processes).rows == expected


def test_a_thread_pool_of_the_caller_is_not_shut_down(checkpoints, expected):
    with ThreadPoolExecutor(2) as pool:
        assert ts.compare(*checkpoints, executor=pool).rows == expected
        assert pool.submit(lambda: 1).result() == 1


def test_what_is_in_no_file_is_sent_to_processes(processes):
    original = {"big": np.zeros((3000, 4000), "f4"), "small": np.ones(3)}
    target = {"big": np.zeros((3000, 4000), "f4"), "small": np.ones(3)}
    target["big"][2999, 3999] = 1
    report = ts.compare(original, target, executor=processes)
    assert [row.name for row in report.failed] == ["big"]
    assert report.failed[0].metrics.worst == (2999, 3999)


def test_a_weight_map_travels_to_processes(tmp_path, processes):
    conv = np.arange(6.0, dtype="f4").reshape(1, 2, 3)
    ts.save_checkpoint({"c.weight": conv, "b.weight": np.ones(2, "f4")}, tmp_path / "a.npz")
    ts.save_checkpoint({"c.weight": conv[:, :, None], "b.gamma": np.ones(2, "f4")}, tmp_path / "b.npz")
    names = {"c.weight": "c.weight", "b.weight": "b.gamma"}
    layouts = {"c.weight": {"transform": "insert_axis", "axis": 2}}
    assert ts.compare(tmp_path / "a.npz", tmp_path / "b.npz", weight_map=(names, layouts), executor=processes)


def test_folders_in_processes(tmp_path, processes):
    for folder in ("a", "b"):
        ts.save(tmp_path / folder / "x", [np.ones(3), np.zeros(2)])
    assert ts.migrator.compare_list_dir(tmp_path / "a", tmp_path / "b", executor=processes)


def test_a_dask_cluster(checkpoints, expected):
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as pool,
    ):
        assert ts.compare(*checkpoints, executor=pool).rows == expected


@pytest.fixture
def crew(monkeypatch):
    """Any pair of files is worth a process; the tasks that these were given."""
    monkeypatch.setattr(engine, "SHARE", 1)
    given, compare = [], workers._Worker.do

    def counted(worker, task):
        outcomes = compare(worker, task)
        given.append(worker._process.pid)
        return outcomes

    monkeypatch.setattr(workers._Worker, "do", counted)
    return given


def test_large_files_are_shared_with_processes(checkpoints, expected, crew):
    assert ts.compare(*checkpoints, workers=3).rows == expected
    assert crew
    for pid in crew:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_checkpoint_that_the_caller_opened_is_shared_with_processes_too(checkpoints, expected, crew):
    with ts.open_checkpoint(checkpoints[0]) as original, ts.open_checkpoint(checkpoints[1]) as target:
        assert ts.compare(original, target, workers=2).rows == expected
    assert crew


@pytest.mark.parametrize("suffix", ["ckpt", "pth", "safetensors"])
def test_processes_see_every_dtype_and_layout_where_it_lies(tmp_path, crew, suffix):
    import ml_dtypes

    pytest.importorskip({"ckpt": "ts_mindspore.checkpoints", "pth": "ts_torch.checkpoints"}.get(suffix, "ts_core"))
    rng = np.random.default_rng(1)
    tensors = {
        "odd": np.arange(3, dtype="i1"),  # what comes after it is not aligned
        "half": rng.standard_normal((40, 50)).astype("f2"),
        "brain": rng.standard_normal((40, 50)).astype(ml_dtypes.bfloat16),
        "double": rng.standard_normal((70, 3, 5)),
        "scalar": np.float32(3.5),
        "empty": np.zeros((0, 4), "f4"),
        "flags": rng.random(1000) < 0.5,
        "large": rng.standard_normal((3000, 3000)).astype("f4"),
    }
    other = {name: array.copy() for name, array in tensors.items()}
    other["large"][2999, 7] += 1
    other["double"][69, 2, 4] -= 2
    layouts = {name: {"transform": "transpose", "axes": [1, 0]} for name in ("half", "brain", "large")}
    other |= {name: np.ascontiguousarray(other[name].T) for name in layouts}
    paths = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    for path, content in zip(paths, (tensors, other), strict=True):
        ts.save_checkpoint(content, path)
    steps = ({name: name for name in tensors}, layouts)
    report = ts.compare(*paths, weight_map=steps, workers=2)
    assert crew
    assert report.rows == ts.compare(*paths, weight_map=steps, workers=1).rows
    assert {row.name: row.metrics.worst for row in report.failed} == {"large": (7, 2999), "double": (69, 2, 4)}


def test_what_has_to_be_read_first_stays_here(tmp_path, crew):
    tensors = {"a": np.arange(10_000_000, dtype="f4")}
    for name in ("a.npz", "b.npz"):
        np.savez_compressed(tmp_path / name, **tensors)
    assert ts.compare(tmp_path / "a.npz", tmp_path / "b.npz", workers=2)
    assert not crew


def _program(path, *lines):
    path.write_text("\n".join([f"#!{sys.executable}", *lines]))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("executable", ["/does/not/exist/python", shutil.which("true"), "", None])
def test_without_an_interpreter_to_start_this_process_does_it_all(checkpoints, expected, monkeypatch, crew, executable):
    monkeypatch.setattr(sys, "executable", executable)
    assert ts.compare(*checkpoints, workers=2).rows == expected
    assert not crew


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
@pytest.mark.parametrize("answer", ["", "Python 3", "F1x\n", "cos\nnothing\n."])
def test_a_wrapper_that_starts_something_else_is_done_without(
    checkpoints, expected, tmp_path, monkeypatch, crew, answer
):
    monkeypatch.setattr(sys, "executable", _program(tmp_path / "python", f"print({answer!r}, end='')"))
    with pytest.warns(ts.errors.WorkerWarning, match="workers were lost: 1"):
        assert ts.compare(*checkpoints, workers=2).rows == expected
    assert not crew


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_an_application_that_embeds_python_is_not_started_again(checkpoints, expected, tmp_path, monkeypatch, crew):
    started = tmp_path / "started"
    application = _program(tmp_path / "modeller", "import pathlib", f"pathlib.Path({str(started)!r}).touch()")
    monkeypatch.setattr(sys, "executable", application)
    assert ts.compare(*checkpoints, workers=2).rows == expected
    assert not crew
    assert not started.exists()


@pytest.mark.parametrize("entry", [lambda: None, threading.Lock(), b"/bytes"])
def test_what_no_import_heeds_in_the_path_is_not_sent(checkpoints, expected, monkeypatch, crew, entry):
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    assert ts.compare(*checkpoints, workers=2).rows == expected
    assert crew


def test_a_worker_that_is_killed_is_done_without(checkpoints, expected, monkeypatch, crew):
    started = []

    def start(function, start=workers._start):
        started.append(start(function))
        started[0].kill()
        return started[0]

    monkeypatch.setattr(workers, "_start", start)
    with pytest.warns(ts.errors.WorkerWarning, match="workers were lost: 1; their share was done here") as caught:
        assert ts.compare(*checkpoints, workers=2).rows == expected
    assert [warning.filename for warning in caught] == [__file__]
    assert started
    assert not crew


def test_another_file_under_the_same_name_is_not_mistaken_for_the_one_that_was_opened(
    checkpoints, expected, tmp_path, monkeypatch, crew
):
    paths = [shutil.copy(path, tmp_path) for path in checkpoints]
    wanted = ts.compare(*paths, workers=1).rows
    located = engine.in_files

    def replaced(task):
        shutil.copy(checkpoints[0], tmp_path / "new")
        (tmp_path / "new").replace(paths[1])
        return located(task)

    monkeypatch.setattr(engine, "in_files", replaced)
    with pytest.warns(ts.errors.WorkerWarning):
        assert ts.compare(*paths, workers=2).rows == wanted
    assert not crew


_INTERRUPTED_CREW = """
    import os, signal, sys, threading, time
    import ts_core as ts
    from ts_core.comparison import _engine as engine
    from ts_core.work import _processes as workers

    def start(function, start=workers._start):
        started.append(start(function))
        time.sleep(0.2)  # a pool that is interrupted while it starts a thread cannot wait for that one
        os.kill(os.getpid(), signal.SIGINT)
        return started[0]

    started, workers._start, engine.SHARE = [], start, 1
    try:
        ts.compare(*sys.argv[1:], workers=2, progress=False)
    except KeyboardInterrupt:
        print("stopped", started[0].poll() is not None, threading.active_count())
"""


def test_an_interrupt_ends_the_processes_too(checkpoints):
    # Not in this process, in which MindSpore may have a handler of its own that ends it.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_INTERRUPTED_CREW), *checkpoints],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("stopped True 1\n", "")


_SCRIPT = """
    import sys
    import ts_core as ts
    from ts_core.comparison import _engine as engine

    print("once")
    engine.SHARE = 1
    print(bool(ts.compare(sys.argv[1], sys.argv[1], workers=2, progress=False)))
"""


def test_a_script_without_a_guard_runs_once(checkpoints, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(_SCRIPT))
    done = subprocess.run([sys.executable, script, checkpoints[0]], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("once\nTrue\n", "")


def _die(_):
    import os

    os._exit(1)


def test_workers_that_die_are_an_error_and_not_a_success(checkpoints):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(_die, 0).exception()
        with pytest.raises(ComparisonError, match="executor lost its workers"):
            ts.compare(*checkpoints, executor=pool)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"workers": 0}, ArgumentError),
        ({"workers": -1}, ArgumentError),
        ({"workers": "2"}, ArgumentTypeError),
        ({"workers": True}, ArgumentTypeError),
        ({"executor": "dask"}, ArgumentTypeError),
    ],
)
def test_wrong_workers(checkpoints, arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        ts.compare(*checkpoints, **arguments)


class _Counting(Executor):
    """Runs at once, and remembers how much was asked for."""

    def __init__(self):
        self.submitted = 0

    def submit(self, function, /, *args, **kwargs):
        from concurrent.futures import Future

        self.submitted += 1
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


def test_one_large_tensor_is_shared_out():
    pool, large = _Counting(), np.zeros(3 * pieces.PIECE, np.int8)
    assert ts.compare({"a": large}, {"a": large}, executor=pool)
    assert pool.submitted == 3


class _Sliced(LazyTensors):
    """A tensor that is stored in slices, of which no seam lies where a piece ends."""

    def __init__(self, array):
        self.array = array
        self._index = CheckpointIndex({"a": TensorInfo("a", array.shape, array.dtype, array.nbytes)})

    @property
    def index(self):
        return self._index

    def read(self, name):
        raise AssertionError("it need not be joined")

    def runs(self, name):
        return np.split(self.array.reshape(-1), [1, 10_000_019, 10_000_020])


@pytest.mark.parametrize("shape", [(1 << 24,), (4097, 4099), (3, 1, 5_000_001), (2, 3000, 3000)])
def test_slices_of_a_large_tensor_are_not_joined(shape):
    original = np.zeros(shape, np.int8)
    target = original.copy()
    places = [0, 10_000_018, 10_000_019, original.size - 1]
    target.reshape(-1)[places] = [2, 3, 4, 5]
    (row,) = ts.compare(_Sliced(original), _Sliced(target)).rows
    assert (row.metrics.size, row.metrics.unequal, row.metrics.max_abs) == (original.size, 4, 5)
    assert row.metrics.worst == tuple(length - 1 for length in shape)
    assert repr(row) == repr(ts.compare({"a": original}, {"a": target}).rows[0])  # repr, because its cosine is NaN


@pytest.mark.parametrize("shape", [(4097, 4099), (7, 3_000_001), (2, 3000, 3000)])
def test_slices_against_another_layout_are_not_joined_either(shape):
    original = np.zeros(shape, np.int8)
    target = np.zeros(shape[::-1], np.int8).T
    places = [0, 10_000_018, 10_000_019, original.size - 1]
    target[np.unravel_index(places, shape)] = [2, 3, 4, 5]
    (row,) = ts.compare(_Sliced(original), {"a": target}).rows
    assert (row.metrics.size, row.metrics.unequal, row.metrics.max_abs) == (original.size, 4, 5)
    assert row.metrics.worst == tuple(length - 1 for length in shape)


class _Tensors(LazyTensors):
    """A source whose tensors come from a function."""

    def __init__(self, names, read):
        self._index = CheckpointIndex({name: TensorInfo(name, (1,), np.dtype("f4"), 1 << 24) for name in names})
        self._read = read

    @property
    def index(self):
        return self._index

    def read(self, name):
        return self._read(name)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_unreadable_tensor_is_a_row(workers):
    def read(name):
        if name == "b":
            raise CheckpointError("b: the file is damaged")
        if name == "c":
            raise OSError("the disk is gone")
        return np.ones(1, "f4")

    report = ts.compare(_Tensors("abcd", read), _Tensors("abcd", lambda _: np.ones(1, "f4")), workers=workers)
    assert [row.status.value for row in report] == ["close", "unreadable", "unreadable", "close"]
    assert report.rows[1].detail == "b: the file is damaged"
    assert "the disk is gone" in report.rows[2].detail
    assert not report


_INTERRUPTED = """
    import sys, threading, time
    import numpy as np
    import ts_core as ts
    from ts_core.contract.readers import LazyTensors
    from ts_core.contract.nouns import CheckpointIndex, TensorInfo

    NAMES = [f"t{i}" for i in range(2000)]
    reads = 0

    class Slow(LazyTensors):
        index = CheckpointIndex({name: TensorInfo(name, (1,), np.dtype("f4"), 1 << 24) for name in NAMES})

        def read(self, name):
            global reads
            reads += 1
            if reads == 10:
                print("comparing", flush=True)
            time.sleep(0.05)
            return np.ones(1, "f4")

    try:
        ts.compare(Slow(), Slow(), workers=int(sys.argv[1]))
    except KeyboardInterrupt:
        at_once = reads
        time.sleep(0.5)
        print("stopped", reads == at_once, reads < len(NAMES), threading.active_count())
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_stops_at_once_and_leaves_no_thread(workers):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_INTERRUPTED), workers],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "comparing\n"
    process.send_signal(signal.SIGINT)
    out, complaints = process.communicate(timeout=60)
    assert (out, complaints) == ("stopped True True 1\n", "")


_INTERRUPTED_OFTEN = """
    import random, signal, threading, time
    from ts_core.work import run

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    chance, interrupted = random.Random(0), 0
    for _ in range(500):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.001, 0.01))
            for _ in run(iter(int, 1), abs, threads=4):  # without end
                pass
        except KeyboardInterrupt:
            interrupted += 1
    end = time.monotonic() + 60
    while threading.active_count() > 1 and time.monotonic() < end:  # one that was just being started ends by itself
        time.sleep(0.01)
    print(interrupted, threading.active_count())
"""


def test_no_lock_is_left_behind_by_any_interrupt():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_INTERRUPTED_OFTEN)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("500 1\n", "")
