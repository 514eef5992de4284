"""Fixtures that several rooms of the tests share."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def any_bits():
    """``any_bits(dtype, shape)``: an array of arbitrary bit patterns (for bool: of truth values), always the same."""

    def make(dtype: object, shape: tuple[int, ...]) -> np.ndarray:
        dtype = np.dtype(dtype)
        raw = np.random.default_rng(0).integers(0, 256, int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8)
        return ((raw & 1) if dtype.kind == "b" else raw).view(dtype).reshape(shape)

    return make
