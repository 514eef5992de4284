from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts


@pytest.fixture(scope="session")
def same() -> Callable[[Mapping, Mapping], None]:
    """``same(a, b)``: the same names in the same order, and the same shapes, dtypes and bits."""

    def check(left: Mapping, right: Mapping) -> None:
        assert list(left) == list(right)
        for name in left:
            a, b = ts.to_numpy(left[name]), ts.to_numpy(right[name])
            assert (a.shape, a.dtype.name) == (b.shape, b.dtype.name), name
            assert a.tobytes() == b.tobytes(), name

    return check


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    """A small state dict of several dtypes and shapes."""
    rng = np.random.default_rng(0)
    return {
        "fc.weight": rng.standard_normal((4, 3)).astype(np.float32),
        "fc.bias": rng.standard_normal(4).astype(np.float16),
        "bn.num_batches_tracked": np.array(7),
        "mask": np.array([True, False, True]),
        "deep": rng.integers(0, 9, (2, 1, 3, 1, 2, 2)).astype(np.int32),
    }


@pytest.fixture
def no_leftovers(tmp_path: Path) -> Callable[[], None]:
    """``no_leftovers()``: no temporary file is left in ``tmp_path``."""

    def check() -> None:
        assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".ts-")]

    return check
