"""The rules are true: translated names and shapes are those of the other framework, and the outputs agree."""

from __future__ import annotations

import numpy as np
import pytest

import ts_core as ts
from ts_core.sources import open_source

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

PAIRS = [
    ("Linear", "Dense", (4, 6)),
    ("Bilinear", "BiDense", (4, 5, 6)),
    *((f"Conv{d}d", f"Conv{d}d", (4, 6, 3)) for d in (1, 2, 3)),
    *((f"ConvTranspose{d}d", f"Conv{d}dTranspose", (4, 6, 3)) for d in (1, 2, 3)),
    *((f"BatchNorm{d}d", f"BatchNorm{d}d", (4,)) for d in (1, 2, 3)),
    ("SyncBatchNorm", "SyncBatchNorm", (4,)),
    ("GroupNorm", "GroupNorm", (2, 4)),
    ("LayerNorm", "LayerNorm", ((4,),)),
    ("Embedding", "Embedding", (4, 6)),
    ("PReLU", "PReLU", (3,)),
    *((name, name, (4, 6)) for name in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")),
    ("MultiheadAttention", "MultiheadAttention", (8, 2)),
    ("TransformerEncoderLayer", "TransformerEncoderLayer", (8, 2, 16)),
    ("TransformerDecoderLayer", "TransformerDecoderLayer", (8, 2, 16)),
    ("Transformer", "Transformer", (8, 2, 1, 1, 16)),
]


def _with_biases(name: str) -> dict[str, bool]:
    return {"has_bias": True} if name.startswith("Conv") else {}


@pytest.mark.parametrize(("ours", "theirs", "arguments"), PAIRS, ids=[f"{a}-{b}" for a, b, _ in PAIRS])
@pytest.mark.parametrize("inside", [False, True], ids=["root", "inside"])
def test_names_are_translated_to_those_that_the_other_framework_writes(ours, theirs, arguments, inside):
    source = getattr(torch.nn, ours)(*arguments)
    target = getattr(mindspore.nn, theirs)(*arguments, **_with_biases(theirs))
    if inside:
        source, target = torch.nn.Sequential(source), mindspore.nn.SequentialCell(target)
    counters = {p.name for p in ts.parameters(source) if p.role == "batch_count"}
    found = {e.source[0]: e.target[0] for e in ts.weight_map(source, "mindspore") if e.source[0] not in counters}
    assert set(found.values()) == {p.name for p in ts.parameters(target)}
    shapes = {p.name: p.shape for p in ts.parameters(target)}
    with ts.weight_map(source, "mindspore").apply(open_source(source)) as mapped:
        assert {name: mapped.info(name).shape for name in shapes} == shapes


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_recurrent_gates_stand_in_the_same_order(name):
    torch.manual_seed(0)
    source = getattr(torch.nn, name)(4, 6, batch_first=True, bidirectional=True)
    target = getattr(mindspore.nn, name)(4, 6, batch_first=True, bidirectional=True)
    ts.transfer(source, target)
    x = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    with torch.no_grad():
        expected = source(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(target(mindspore.Tensor(x))[0].asnumpy(), expected, atol=1e-5)


def test_one_dimensional_convolutions_agree_in_both_directions():
    torch.manual_seed(0)
    source = torch.nn.Conv1d(3, 4, 3)
    target = mindspore.nn.Conv1d(3, 4, 3, pad_mode="valid", has_bias=True)
    ts.transfer(source, target)
    x = np.random.default_rng(0).standard_normal((2, 3, 9)).astype(np.float32)
    with torch.no_grad():
        expected = source(torch.tensor(x)).numpy()
    np.testing.assert_allclose(target(mindspore.Tensor(x)).asnumpy(), expected, atol=1e-5)
    back = torch.nn.Conv1d(3, 4, 3)
    ts.transfer(target, back)
    np.testing.assert_array_equal(back.weight.detach().numpy(), source.weight.detach().numpy())
