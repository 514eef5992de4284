"""Tests of tensors: to arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ts_core.contract.recognition import is_instance
from ts_core.errors import UnsupportedDtypeError, UnsupportedTensorError
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._promises import dtype_called, promise, raises, same, special_values

Array = np.ndarray[Any, np.dtype[Any]]


class TensorTests(Suite):
    """Bits survive in both directions."""

    def test_to_numpy(self, dtype: str) -> None:
        """An array of the tensor's dtype, shape and bits."""
        for shape in ((3, 4), (), (0, 3), (2, 1, 3)):
            array = self.numbers(dtype, shape)
            same(self.hook("tensor_to_numpy")(self.tensor(array)), array, "tensor_to_numpy keeps dtype, shape, bits")

    def test_to_numpy_special_values(self, dtype: str) -> None:
        """Every bit pattern comes through: infinities, NaN, negative zero, the largest integer."""
        array = special_values(dtype_called(dtype))
        tensor = self.hook("tensor_from_numpy")(array, self.framework)
        same(self.hook("tensor_to_numpy")(tensor), array, "special values keep their bits")

    def test_to_numpy_views(self, dtype: str) -> None:
        """A transposed or sliced tensor comes out as what it shows."""
        self.need("views")
        array = self.numbers(dtype, (4, 6))
        for view, as_array in self.views(self.tensor(array)):
            same(self.hook("tensor_to_numpy")(view), as_array(array), "tensor_to_numpy follows the strides of a view")

    def test_to_numpy_shares_memory(self, dtype: str) -> None:
        """A tensor of a dtype in `zero_copy` shares its memory with the array, one of another dtype does not."""
        tensor = self.tensor(self.numbers(dtype, (64,)))
        to_numpy = self.hook("tensor_to_numpy")
        shared = np.shares_memory(to_numpy(tensor), to_numpy(tensor))
        claim = "shares memory, as zero_copy says" if dtype in self.zero_copy else "is a copy, as zero_copy says"
        promise(shared == (dtype in self.zero_copy), f"the array of a {dtype} tensor {claim}")

    def test_to_numpy_without_dense_array(self) -> None:
        """A tensor that no dense array can hold is an error that says so."""
        self.need("no dense array")
        for tensor in self.without_dense_array():
            text = f"a {type(tensor).__name__} without a dense array is an UnsupportedTensorError"
            raises(UnsupportedTensorError, text, self.hook("tensor_to_numpy"), tensor)

    def test_from_numpy(self, dtype: str) -> None:
        """A tensor of the array's dtype, shape and bits, whatever the array's memory looks like."""
        array = self.numbers(dtype, (4, 6))
        frozen = array.copy()
        frozen.flags.writeable = False
        variants = [
            array,
            array.T,
            array[1:, ::2],
            array[::-1],
            np.asfortranarray(array),
            frozen,
            array[:0],
            array[0, 0, ...],
        ]
        if array.dtype.kind in "iufc" and array.dtype.itemsize > 1:
            variants.append(array.astype(array.dtype.newbyteorder()))
        for variant in variants:
            tensor = self.hook("tensor_from_numpy")(variant, self.framework)
            own = is_instance(tensor, *self.claimed)
            promise(own, "tensor_from_numpy makes a tensor of the framework", f"{type(tensor)}")
            native = variant.astype(variant.dtype.newbyteorder("="), copy=False)
            same(self.hook("tensor_to_numpy")(tensor), native, "tensor_from_numpy keeps dtype, shape and bits")

    def test_from_numpy_copies(self, dtype: str) -> None:
        """The tensor does not follow later changes of the array."""
        array = self.numbers(dtype, (64,))
        tensor = self.hook("tensor_from_numpy")(array, self.framework)
        before = array.copy()
        array[...] = array[::-1].copy()
        same(self.hook("tensor_to_numpy")(tensor), before, "tensor_from_numpy copies")

    def test_from_numpy_unknown_dtype(self) -> None:
        """A dtype that the framework lacks is an UnsupportedDtypeError, never a silent cast."""
        for array in (np.array(["text"]), np.array([object()]), np.zeros(2, "datetime64[s]")):
            text = f"an array of dtype {array.dtype} is an UnsupportedDtypeError"
            raises(UnsupportedDtypeError, text, self.hook("tensor_from_numpy"), array, self.framework)
