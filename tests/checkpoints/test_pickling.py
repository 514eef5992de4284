"""A pickle that is written piece by piece is one that the standard library reads, and our own reader."""

import pickle

import numpy as np
import pytest

from ts_core.contract.byte_sources import MappedFile, place_of
from ts_core.contract.pickles import PickleBytes, load
from ts_core.contract.pickling import PickledDict

BASE = np.arange(24)
ARRAYS = {
    **{f"of {dtype}": BASE.reshape(2, 3, 4).astype(dtype) for dtype in "?bhiqBHIQefdFD"},
    "big-endian": BASE.astype(">f4"),
    "transposed": BASE.reshape(4, 6).T,
    "in Fortran's order": np.asfortranarray(BASE.reshape(4, 6)),
    "every second": BASE[::-2],
    "of no axes": np.array(3.5),
    "of no elements": np.zeros((2, 0, 3), np.float32),
    "large": np.arange(1 << 15, dtype=np.float64),
    "grüße\n'": BASE,
}
VALUES = {
    "epoch": 3,
    "rate": 0.5,
    "note": "grüße",
    "nothing": None,
    "many": [1, {"a": (1, "a", "a")}, "a"],
    "x" * 300: 1,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("pickling") / "x"
    writer = PickledDict(path)
    for name, array in ARRAYS.items():  # in turn: what a piece puts into the memo is of no use to the next one
        writer.put_array(name, array)
        for key, value in VALUES.items():
            writer.put(f"{name} {key}", value)
    writer.finish()
    writer.close()
    return path


def expected():
    for name, array in ARRAYS.items():
        yield name, array
        yield from ((f"{name} {key}", value) for key, value in VALUES.items())


def equal(found, value):
    if not isinstance(value, np.ndarray):
        return found == value
    native = value.astype(value.dtype.newbyteorder("="))
    return (found.dtype, found.shape, found.tobytes()) == (native.dtype, native.shape, native.tobytes())


def test_the_standard_library_reads_it(path):
    found = pickle.loads(path.read_bytes())
    assert list(found) == [name for name, _ in expected()]
    for name, value in expected():
        assert equal(found[name], value), name


def test_our_reader_reads_it_and_large_arrays_stay_in_the_file(path):
    source = MappedFile(path)
    found = load(PickleBytes(source.read(0, len(source))))
    assert list(found) == [name for name, _ in expected()]
    for name, value in expected():
        assert equal(getattr(found[name], "array", found[name]), value), name
    assert place_of(found["large"].array) is not None


def test_without_its_end_nothing_is_read(path, tmp_path):
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-1])
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        pickle.loads((tmp_path / "cut").read_bytes())
