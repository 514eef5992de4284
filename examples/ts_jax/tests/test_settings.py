"""Settings of Flax layers mean what torch's mean: equal ones give equal numbers; cells pair with layers of one."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import ts_core as ts
from ts_core.contract.layers import KINDS
from ts_core.frameworks import registry, settings

torch = pytest.importorskip("torch")
tn = torch.nn
RNGS = nnx.Rngs(0)


def different(one, other) -> set[str]:
    ours, theirs = ({name: found.value for name, found in settings(layer).items()} for layer in (one, other))
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


def conv(*args, **more):
    return nnx.Conv(4, 6, *args, rngs=RNGS, **more)


def deconv(*args, **more):
    return nnx.ConvTranspose(4, 6, *args, rngs=RNGS, **more)


# torch's layer, Flax's, and the settings in which they differ
WINDOWS = [
    (lambda: tn.Conv1d(4, 6, 3, padding=1), lambda: conv((3,)), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=1), lambda: conv((3, 3)), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=1), lambda: conv((3, 3), strides=None, padding=1), set()),
    (lambda: tn.Conv2d(4, 6, 4, padding="same"), lambda: conv((4, 4)), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=2, dilation=2), lambda: conv((3, 3), kernel_dilation=2), set()),
    (lambda: tn.Conv2d(4, 6, 1, 2), lambda: conv((1, 1), 2), set()),
    (lambda: tn.Conv2d(4, 6, 3, 2, 1), lambda: conv((3, 3), 2), {"pads"}),
    (lambda: tn.Conv2d(4, 6, 3, 2, 1), lambda: conv((3, 3), 2, padding=1), set()),
    (lambda: tn.Conv2d(4, 6, 3, 2), lambda: conv((3, 3), 2, padding="VALID"), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=1, groups=2), lambda: conv((3, 3), feature_group_count=2), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=1, bias=False), lambda: conv((3, 3), use_bias=False), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), lambda: conv((3, 3), padding="CIRCULAR"), set()),
    (lambda: tn.Conv2d(4, 6, 3, padding=1), lambda: conv((3, 3), padding="CIRCULAR"), {"padding_mode"}),
    (lambda: tn.ConvTranspose2d(4, 6, 4, 2, 1), lambda: deconv((4, 4), 2), set()),
    (lambda: tn.ConvTranspose2d(4, 6, 2, 3, 0, 1), lambda: deconv((2, 2), (3, 3)), set()),
    (lambda: tn.ConvTranspose2d(4, 6, 3, 2), lambda: deconv((3, 3), 2, padding="VALID"), set()),
    (lambda: tn.ConvTranspose2d(4, 6, 3, 2, 1, 1), lambda: deconv((3, 3), 2), {"pads", "output_padding"}),
    (lambda: tn.ConvTranspose2d(4, 6, 3, 2, 1, 1), lambda: deconv((3, 3), (2, 2), padding=((1, 2), (1, 2))), set()),
    (lambda: tn.ConvTranspose1d(4, 6, 3, padding=1), lambda: deconv((3,)), set()),
    (lambda: tn.BatchNorm2d(4), lambda: nnx.BatchNorm(4, momentum=0.9, rngs=RNGS), set()),
    (lambda: tn.GroupNorm(2, 4), lambda: nnx.GroupNorm(4, 2, epsilon=1e-5, rngs=RNGS), set()),
    (lambda: tn.GroupNorm(2, 4, 1.0), lambda: nnx.GroupNorm(4, 2, rngs=RNGS), {"eps"}),
]


@pytest.mark.parametrize(("ours", "theirs", "expected"), WINDOWS)
def test_settings_are_equal_where_the_numbers_are(ours, theirs, expected):
    torch.manual_seed(0)
    one, other = ours().eval(), theirs()
    other.eval()
    assert different(one, other) == expected
    ts.transfer(one, other)
    space = 1 if "1d" in type(one).__name__ else 2
    x = np.random.default_rng(2).standard_normal((2, 4, *(8,) * space)).astype(np.float32)
    with torch.no_grad():
        wanted = one(torch.tensor(x)).numpy()
    computed = np.moveaxis(np.asarray(other(jnp.asarray(np.moveaxis(x, 1, -1)))), -1, 1)
    same = wanted.shape == computed.shape and np.allclose(wanted, computed, rtol=1e-3, atol=1e-4)
    assert same is (not expected)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (lambda: tn.Linear(3, 4), lambda: nnx.Linear(3, 4, rngs=RNGS), set()),
        (lambda: tn.Linear(3, 4), lambda: nnx.Linear(3, 4, use_bias=False, rngs=RNGS), {"bias"}),
        (lambda: tn.BatchNorm2d(4), lambda: nnx.BatchNorm(4, rngs=RNGS), {"momentum"}),
        (lambda: tn.BatchNorm2d(4), lambda: nnx.BatchNorm(4, momentum=0.9, use_bias=False, rngs=RNGS), {"affine"}),
        (lambda: tn.LayerNorm(4), lambda: nnx.LayerNorm(4, rngs=RNGS), {"eps"}),
        (lambda: tn.LayerNorm(4, bias=False), lambda: nnx.LayerNorm(4, epsilon=1e-5, use_bias=False, rngs=RNGS), set()),
        (lambda: tn.RMSNorm(4, 1e-6), lambda: nnx.RMSNorm(4, rngs=RNGS), set()),
        (lambda: tn.Embedding(5, 4), lambda: nnx.Embed(5, 4, rngs=RNGS), set()),
        (lambda: tn.LSTMCell(3, 4), lambda: nnx.OptimizedLSTMCell(3, 4, rngs=RNGS), set()),
        (lambda: tn.GRUCell(3, 4), lambda: nnx.GRUCell(3, 5, rngs=RNGS), {"hidden_size"}),
        (lambda: tn.RNNCell(3, 4), lambda: nnx.SimpleCell(3, 4, rngs=RNGS), set()),
        (
            lambda: tn.RNNCell(3, 4),
            lambda: nnx.SimpleCell(3, 4, activation_fn=nnx.relu, rngs=RNGS),
            {"nonlinearity"},
        ),
        (
            lambda: tn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True),
            lambda: nnx.MultiHeadAttention(2, 8, dropout_rate=0.1, decode=False, rngs=RNGS),
            set(),
        ),
        (lambda: tn.Dropout(0.1), lambda: nnx.Dropout(0.1, rngs=RNGS), set()),
    ],
)
def test_told_the_same_they_are_equal(ours, theirs, expected):
    assert different(ours(), theirs()) == expected


def test_every_rule_declares_every_setting_of_its_kind():
    lacking = {
        rule.cls: lacks
        for rule in registry().each("layer_rules")["jax"]
        if (lacks := set(KINDS[rule.kind].settings) - set(rule.settings))
    }
    assert lacking == {"flax.nnx.InstanceNorm": {"momentum"}}  # it keeps no statistics


class Holder(nnx.Module):
    def __init__(self, **layers):
        for name, layer in layers.items():
            setattr(self, name, layer)


def test_a_layer_of_one_pairs_with_a_cell_inside_a_loop_over_time():
    source = tn.Module()
    source.rnn = tn.LSTM(3, 4)
    source.rnn.bias_ih_l0.data.zero_()
    target = Holder(rnn=nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=RNGS), rngs=RNGS))
    pairs = {e.source[0]: e.target[0] for e in ts.weight_map(source, target)}
    assert pairs == {
        "rnn.weight_ih_l0": "rnn.cell.dense_i.kernel",
        "rnn.weight_hh_l0": "rnn.cell.dense_h.kernel",
        "rnn.bias_hh_l0": "rnn.cell.dense_h.bias",
    }
    ts.transfer(source, target, strict=False)
    x = np.random.default_rng(4).standard_normal((2, 5, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = source.rnn(torch.tensor(x).transpose(0, 1))[0].transpose(0, 1).numpy()
    np.testing.assert_allclose(np.asarray(target.rnn(jnp.asarray(x))), wanted, rtol=1e-4, atol=1e-5)
    stack = tn.Module()
    stack.rnn = tn.GRU(3, 4, 2)
    cells = Holder(first=nnx.GRUCell(3, 4, rngs=RNGS), second=nnx.GRUCell(4, 4, rngs=RNGS))
    pairs = {e.source[0]: e.target[0] for e in ts.weight_map(stack, cells)}
    assert pairs["rnn.weight_hh_l0"] == "first.dense_h.kernel"
    assert pairs["rnn.weight_ih_l1"] == "second.dense_i.kernel"


def test_a_layer_of_one_is_translated_to_a_cell_and_back():
    source = tn.Module()
    source.rnn = tn.LSTM(3, 4)
    names = {e.source[0]: e.target[0] for e in ts.weight_map(source, "jax")}
    assert names["rnn.weight_ih_l0"] == "rnn.dense_i.kernel"
    assert names["rnn.bias_hh_l0"] == "rnn.dense_h.bias"
    back = ts.weight_map(Holder(rnn=nnx.OptimizedLSTMCell(3, 4, rngs=RNGS)), "torch")
    assert {e.target[0] for e in back} == {"rnn.weight_ih", "rnn.weight_hh", "rnn.bias_hh"}
