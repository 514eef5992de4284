"""Fused and split projections: which parts a whole holds is told by sizes and names, and never guessed."""

import numpy as np
import pytest

import ts_core as ts
from ts_core.sources import open_source

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework

RNG = np.random.default_rng(0)


def apart(*names: str) -> dict[str, np.ndarray]:
    return {f"attn.{name}.weight": RNG.standard_normal((4, 4)) for name in names}


@pytest.mark.parametrize(
    ("target", "whole", "parts"),
    [
        ({"attn.qkv.weight": (12, 4)}, "qkv", ("q", "k", "v")),
        ({"attn.kv.weight": (8, 4), "attn.q.weight": (4, 4)}, "kv", ("k", "v")),
        ({"attn.qk.weight": (8, 4), "attn.v.weight": (4, 4)}, "qk", ("q", "k")),
    ],
)
def test_the_name_of_the_whole_tells_its_parts(target, whole, parts):
    source = apart("q", "k", "v")
    found = ts.weight_map(source, target)
    assert found.complete
    mapped = dict(found.apply(open_source(source)).items())
    expected = np.concatenate([source[f"attn.{part}.weight"] for part in parts])
    np.testing.assert_array_equal(mapped[f"attn.{whole}.weight"], expected)


def test_a_whole_without_a_telling_name_is_not_made_up():
    source = apart("q", "k", "v") | {"attn.proj.weight": np.ones((4, 6)), "head.weight": np.ones((9, 4))}
    target = {"attn.both.weight": (8, 4), "attn.one.weight": (4, 4), "attn.proj.weight": (4, 6), "head.weight": (9, 4)}
    found = ts.weight_map(source, target)
    assert "attn.both.weight" in {u.name for u in found.unmatched_target}
    assert not found.complete
