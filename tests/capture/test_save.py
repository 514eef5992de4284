"""What needs no framework: names, numbers, containers, files, errors."""

import errno
import os
import string
import subprocess
import sys
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.contract import saved_files as files

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_numbers_count_the_calls_of_the_process_from_zero(tmp_path):
    script = """
import sys, numpy as np, ts_core as ts
folder = sys.argv[1]
ts.save(folder + "/a", np.float32(1))
ts.save(folder + "/b", [np.int8(1), 2.5])
ts.save(folder + "/a", True)
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    first = {"a_float32_0.npy", "b.0_int8_1.npy", "b.1_float64_2.npy", "a_bool_3.npy"}
    # The second process passes over the numbers that are taken under the very name, and goes on from there.
    second = {"a_float32_1.npy", "b.0_int8_2.npy", "b.1_float64_3.npy", "a_bool_4.npy"}
    assert {path.name for path in tmp_path.iterdir()} == first | second


def test_containers_suffix_and_npy(tmp_path, saved, saved_files):
    data = {"x": [ARRAY, None, (1, 2.5)], "a/b": {3: np.bool_(True)}}
    ts.save(tmp_path / "new" / "t.npy", data, suffix="s")
    assert saved(tmp_path / "new") == ["t.x.0_s_float32", "t.x.2.0_s_int64", "t.x.2.1_s_float64", "t.a.b.3_s_bool"]
    loaded = [np.load(path) for path in saved_files(tmp_path / "new")]
    np.testing.assert_array_equal(loaded[0], ARRAY)
    assert [array.item() for array in loaded[1:]] == [1, 2.5, True]


def test_none_saves_nothing(tmp_path):
    ts.save(tmp_path / "t", None)
    ts.save(tmp_path / "t", [None, {"a": ()}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_small_floats_are_stored_as_float32_under_their_own_name(tmp_path, dtype, saved, saved_files):
    array = np.linspace(-3, 3, 12).reshape(3, 4).astype(dtype)
    ts.save(tmp_path / "t", [array, array.T, array[0, 0]])
    assert saved(tmp_path) == [f"t.{index}_{np.dtype(dtype).name}" for index in range(3)]
    for path, expected in zip(saved_files(tmp_path), [array, array.T, array[0, 0]], strict=True):
        loaded = np.load(path)
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, expected.astype(np.float32))


def test_a_small_float_larger_than_a_block(tmp_path, saved_files, monkeypatch):
    monkeypatch.setattr(files, "_BLOCK", 7)
    array = np.arange(30, dtype=ml_dtypes.bfloat16).reshape(5, 6)
    ts.save(tmp_path / "t", array)
    np.testing.assert_array_equal(np.load(saved_files(tmp_path)[0]), array.astype(np.float32))


@pytest.mark.parametrize("array", [ARRAY.T, ARRAY[:, ::2], ARRAY[:0], np.array(1 + 2j), ARRAY.astype(">f4")])
def test_layouts(tmp_path, array, saved_files):
    ts.save(tmp_path / "t", array)
    loaded = np.load(saved_files(tmp_path)[0])
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


@settings(deadline=None, max_examples=40)
@given(
    data=st.recursive(
        st.integers(-5, 5) | st.floats(width=32, allow_nan=False) | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_every_leaf_of_any_container_is_saved_in_order(tmp_path_factory, data, saved_files):
    folder = tmp_path_factory.mktemp("t")
    ts.save(folder / "t", data)

    def flat(item, place):
        if isinstance(item, dict):
            return [leaf for key, inner in item.items() for leaf in flat(inner, f"{place}.{key}")]
        if isinstance(item, list | tuple):
            return [leaf for index, inner in enumerate(item) for leaf in flat(inner, f"{place}.{index}")]
        return [] if item is None else [(place, item)]

    found = [(path.stem.rsplit("_", 2)[0], np.load(path).item()) for path in saved_files(folder)]
    assert found == flat(data, "t")


def test_print(tmp_path, capsys):
    ts.save(tmp_path / "t", {"a": ARRAY}, suffix="s", output_mode="print")
    printed = capsys.readouterr().out
    assert printed == f"_TS_SAVE_NAME:{tmp_path / 't'}.a_s_float32\n{ARRAY}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["RANK", "RANK_ID"])
def test_the_rank_is_an_option(tmp_path, monkeypatch, variable, saved):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("RANK_ID", raising=False)
    ts.save(tmp_path / "t", 1, rank=True)
    monkeypatch.setenv(variable, "3")
    ts.save(tmp_path / "t", 1)
    ts.save(tmp_path / "t", 1, rank=True)
    ts.save(tmp_path / "t", 1, suffix="s", rank=True)
    assert saved(tmp_path) == ["t_int64", "t_int64", "t_rank3_int64", "t_s_rank3_int64"]


def test_a_key_or_suffix_cannot_lead_to_another_folder(tmp_path, saved):
    ts.save(tmp_path / "t", {"../../x": 1}, suffix="../y")
    assert saved(tmp_path) == ["t....... x_...y_int64".replace(" ", "")]


@pytest.mark.parametrize("file", ["x/", "", ".", "a/..", ".npy"])
def test_a_file_without_a_name(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="name"):
        ts.save(file, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [None, 3, b"x", ["x"]])
def test_a_file_that_is_no_path(file):
    with pytest.raises(TypeError, match=type(file).__name__):
        ts.save(file, 1)


def test_an_unknown_output_mode(tmp_path):
    with pytest.raises(ValueError, match="'json'"):
        ts.save(tmp_path / "t", 1, output_mode="json")


@pytest.mark.parametrize(
    ("leaf", "what"),
    [("text", "str"), ({1}, "set"), (object(), "object"), (np.array(["a"]), "<U1"), (np.array([object()]), "object")],
)
def test_an_unsupported_leaf_is_named_with_its_place(tmp_path, leaf, what):
    with pytest.raises(TypeError, match=rf'data\["a"\]\[2\]: .*{what}'):
        ts.save(tmp_path / "t", {"a": [1, 2, leaf]})
    with pytest.raises(TypeError, match=f"data: .*{what}"):
        ts.save(tmp_path / "t", leaf)


def test_a_folder_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OSError, match=r"file/t_int64") as caught:
        ts.save(blocker / "t", 1)
    assert isinstance(caught.value, ts.errors.SaveError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("array", [np.zeros(10_000), np.zeros(10_000, ml_dtypes.bfloat16)])
def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch, array):
    def create_on_full_disk(path, folder):
        Path(path).touch()
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(files, "_create", create_on_full_disk)
    with pytest.raises(OSError, match=str(tmp_path)) as caught:
        ts.save(tmp_path / "t", array)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links(tmp_path, monkeypatch, saved_files):
    def no_links(source, destination):
        raise OSError(errno.EPERM, "Operation not permitted")

    (tmp_path / "before.txt").write_text("")
    monkeypatch.setattr(os, "link", no_links)
    folder = tmp_path / "t"
    for value in range(3):
        ts.save(folder / "t", value)
    assert [np.load(path) for path in saved_files(folder)] == [0, 1, 2]


def test_threads_lose_nothing(tmp_path, saved_files):
    def work(thread):
        for step in range(50):
            ts.save(tmp_path / "t", np.full(100, 50 * thread + step))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(np.load(path)[0] for path in saved_files(tmp_path)) == list(range(400))


def test_processes_that_share_a_folder_lose_nothing(tmp_path, saved_files):
    script = """
import sys, numpy as np, ts_core as ts
for step in range(60):
    ts.save(sys.argv[1] + "/t", np.full(100, 60 * int(sys.argv[2]) + step))
"""
    ranks = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(rank)]) for rank in range(3)]
    assert [rank.wait() for rank in ranks] == [0, 0, 0]
    assert sorted(np.load(path)[0] for path in saved_files(tmp_path)) == list(range(180))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_goes_on_counting(tmp_path):
    script = """
import os, sys, numpy as np, ts_core as ts
file = sys.argv[1] + "/t"
ts.save(file, 0)
child = os.fork()
for step in range(20):
    ts.save(file, 100 + step if child else 200 + step)
if child:
    os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    values = sorted(np.load(path).item() for path in tmp_path.iterdir())
    assert values == [0, *range(100, 120), *range(200, 220)]


def test_a_file_is_never_seen_unfinished(tmp_path):
    script = """
import sys, numpy as np, ts_core as ts
for step in range(40):
    ts.save(sys.argv[1] + "/t", np.full(200_000, step))
"""
    writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    while writer.poll() is None:
        for path in tmp_path.glob("*.npy"):
            assert np.load(path).shape == (200_000,)
    assert writer.returncode == 0
    assert len(list(tmp_path.glob("*.npy"))) == 40
