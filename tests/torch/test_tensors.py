"""torch tensors as arrays and back: every dtype and layout, shared memory, bit-exact."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ts_torch.checkpoints")

import ml_dtypes  # noqa: E402 - after the frameworks are known to be there

import ts_core as ts  # noqa: E402

PLAIN = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"]
WIDE = ["uint16", "uint32", "uint64"]
EXTENDED = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
SHAPES = [(), (0,), (0, 3), (5,), (2, 3), (2, 1, 3, 1, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PLAIN + WIDE + EXTENDED)
def test_there_and_back_is_bit_exact(any_bits, name, shape):
    array = any_bits(getattr(ml_dtypes, name, name), shape)
    tensor = ts.from_numpy(array, "torch")
    assert tensor.dtype == getattr(torch, name)
    back = ts.to_numpy(tensor)
    assert (back.dtype, back.shape) == (array.dtype, shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("name", PLAIN + EXTENDED)
def test_memory_is_shared(name):
    tensor = torch.zeros(4, dtype=getattr(torch, name))
    array = ts.to_numpy(tensor)
    tensor.view(torch.uint8)[:] = 1
    assert array.view(np.uint8).tolist() == [1] * array.nbytes


def test_the_tensor_made_from_an_array_shares_nothing_with_it():
    array = np.zeros(3, np.float32)
    tensor = ts.from_numpy(array, "torch")
    array[:] = 1
    assert tensor.tolist() == [0, 0, 0]


def test_a_tensor_that_requires_grad_and_a_parameter():
    tensor = torch.ones(2, requires_grad=True)
    assert ts.to_numpy(tensor * 2).tolist() == [2, 2]
    assert np.shares_memory(ts.to_numpy(tensor), tensor.detach().numpy())
    assert ts.to_numpy(torch.nn.Parameter(tensor)).tolist() == [1, 1]


def test_a_subclass_of_tensor():
    class Marked(torch.Tensor):
        pass

    assert ts.to_numpy(torch.ones(2).as_subclass(Marked)).tolist() == [1, 1]


@pytest.mark.parametrize("view", [lambda t: t.T, lambda t: t[:, ::2], lambda t: t[0], lambda t: t.expand(2, 2, 3)])
@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_non_contiguous_views(name, view):
    tensor = torch.arange(6).reshape(2, 3).to(getattr(torch, name))
    array = ts.to_numpy(view(tensor))
    assert array.astype(np.float32).tolist() == view(tensor).float().tolist()
    assert np.shares_memory(array, ts.to_numpy(tensor))


def test_lazy_conjugates_and_negatives_are_resolved():
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    assert tensor.conj().is_conj()
    assert ts.to_numpy(tensor.conj()).tolist() == [1 - 2j, 3 + 4j]
    assert tensor.conj().imag.is_neg()
    assert ts.to_numpy(tensor.conj().imag).tolist() == [-2, 4]


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=">f4").reshape(2, 3), np.asfortranarray(np.eye(3)), np.eye(4)[::2, ::-1]]
)
def test_arrays_of_any_byte_order_and_layout(array):
    assert ts.from_numpy(array, "torch").tolist() == array.tolist()


def test_a_read_only_array():
    array = np.arange(3.0)
    array.flags.writeable = False
    ts.from_numpy(array, "torch").add_(1)
    assert array.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (lambda: torch.eye(3).to_sparse(), "to_dense"),
        (lambda: torch.eye(3).to_sparse_csr(), "to_dense"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "dequantize"),
        (lambda: torch.ones(2, device="meta"), "meta"),
    ],
)
def test_what_has_no_dense_array_says_what_to_do(make, cure):
    with pytest.raises(ts.errors.UnsupportedTensorError, match=cure) as caught:
        ts.to_numpy(make())
    assert isinstance(caught.value, TypeError)


def test_a_dtype_that_torch_lacks_is_named():
    with pytest.raises(ts.errors.UnsupportedDtypeError, match="datetime64"):
        ts.from_numpy(np.zeros(2, "datetime64[s]"), "torch")
