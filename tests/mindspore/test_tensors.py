"""MindSpore tensors as arrays and back: every dtype, shared memory, bit-exact."""

import numpy as np
import pytest

mindspore = pytest.importorskip("mindspore")
pytest.importorskip("ts_mindspore.checkpoints")

import ml_dtypes  # noqa: E402 - after the frameworks are known to be there

import ts_core as ts  # noqa: E402

PLAIN = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"]
WIDE = ["uint16", "uint32", "uint64"]
EXTENDED = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]
SHAPES = [(), (0,), (0, 3), (5,), (2, 3), (2, 1, 3, 1, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PLAIN + WIDE + EXTENDED)
def test_there_and_back_is_bit_exact(any_bits, name, shape):
    array = any_bits(getattr(ml_dtypes, name, name), shape)
    tensor = ts.from_numpy(array, "mindspore")
    assert isinstance(tensor, mindspore.Tensor)
    assert tensor.dtype == getattr(mindspore, "bool_" if name == "bool" else name)
    back = ts.to_numpy(tensor)
    assert (back.dtype, back.shape) == (array.dtype, shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("name", ["float32", "int64", "bfloat16"])
def test_memory_is_shared(name):
    tensor = mindspore.Tensor(np.ones(4), getattr(mindspore, name))
    first, second = ts.to_numpy(tensor), ts.to_numpy(tensor)
    assert first.__array_interface__["data"][0] == second.__array_interface__["data"][0]


def test_the_tensor_made_from_an_array_shares_nothing_with_it():
    array = np.zeros(3, np.float32)
    tensor = ts.from_numpy(array, "mindspore")
    array[:] = 1
    assert tensor.asnumpy().tolist() == [0, 0, 0]


def test_a_parameter():
    parameter = mindspore.Parameter(mindspore.Tensor([1.0, 2.0]), name="p")
    assert ts.to_numpy(parameter).tolist() == [1, 2]


@pytest.mark.parametrize("view", [lambda t: t.T, lambda t: t[:, ::2], lambda t: t[0]])
@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_non_contiguous_views(name, view):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = mindspore.Tensor(array, getattr(mindspore, name))
    assert ts.to_numpy(view(tensor)).astype(np.float32).tolist() == view(array).tolist()


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=">f4").reshape(2, 3), np.asfortranarray(np.eye(3)), np.eye(4)[::2, ::-1]]
)
def test_arrays_of_any_byte_order_and_layout(array):
    assert ts.from_numpy(array, "mindspore").asnumpy().tolist() == array.tolist()


def test_a_sparse_tensor_says_what_to_do():
    sparse = mindspore.COOTensor(mindspore.Tensor([[0, 1]]), mindspore.Tensor([1.0]), (2, 2))
    with pytest.raises(ts.errors.UnsupportedTensorError, match="to_dense"):
        ts.to_numpy(sparse)


def test_a_dtype_that_mindspore_lacks_is_named():
    with pytest.raises(ts.errors.UnsupportedDtypeError, match="float8_e8m0fnu"):
        ts.from_numpy(np.zeros(2, ml_dtypes.float8_e8m0fnu), "mindspore")
