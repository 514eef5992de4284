"""What one array is to another, in the words of hints."""

import numpy as np
import pytest

from ts_core.location._relations import relation

A = np.random.default_rng(0).standard_normal((3, 8, 5)).astype(np.float32)
HALVES = np.r_[np.full(4, 0.5), np.ones(4)][None, :, None].astype(np.float32)
SILENT = A * (np.arange(8) != 2)[None, :, None]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (A, A * 0.5, "multiple of the source: × 1/2"),
        (A, A / np.float32(8**0.5), "× 1/√8"),
        (A, A * 4, "× 4"),
        (A, -A, "sign is the other way round"),
        (A, A + np.float32(0.1), "a constant is added"),
        (A, A + np.arange(5, dtype=np.float32), "for each place along axis 2, as a bias"),
        (A, A * 0, "all zeros in the target"),
        (A, np.flip(A, 1), "reversed along axis 1"),
        (A, np.roll(A, 2, 1), "shifted by 2 along axis 1"),
        (A, np.pad(A, ((0, 0), (1, 0), (0, 0)))[:, :-1], "shifted by 1 along axis 1"),
        (A, A.transpose(0, 2, 1), "transposed"),
        (A, A.transpose(0, 2, 1).reshape(3, 8, 5), "permutation"),
        (A, A[:, [4, 5, 6, 7, 0, 1, 2, 3]], "in the order 4 to 7, 0 to 3|shifted by"),
        (A, A * HALVES, "a part of axis 1 is a multiple: × 1/2 at 0 to 3"),
        (SILENT, SILENT * HALVES, "a part of axis 1 is a multiple: × 1/2 at 0"),
        (A, np.maximum(A, 0), "target is relu of the source"),
        (np.tanh(A), A, "source is tanh of the target"),
        (A, np.clip(A, -1, 1), "clipped"),
        (A, A.astype(np.float16).astype(np.float32), "float16"),
    ],
)
def test_a_relation_is_told(source, target, words):
    told = relation(source, target)
    assert told is not None
    assert any(word in told for word in words.split("|")), told


def test_nothing_is_told_of_strangers():
    other = np.random.default_rng(1).standard_normal(A.shape).astype(np.float32)
    assert relation(A, other) is None
    assert relation(A, A + other * 0.01) is None
