"""ts.locate and ts.trace, from the contract alone."""

import numpy as np
import pytest

import ts_core as ts

nnx = pytest.importorskip("flax.nnx")
import jax.numpy as jnp  # noqa: E402

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


class Net(nnx.Module):
    def __init__(self, rngs, epsilon=1e-6, flaw=""):
        self.first = nnx.Linear(6, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, epsilon=epsilon, rngs=rngs)
        self.last = nnx.Linear(8, 3, rngs=rngs)
        self.flaw = flaw

    def __call__(self, x):
        x = self.norm(self.first(x))
        return self.last(jnp.tanh(x) if self.flaw != "no tanh" else x)


def test_equal_networks_agree():
    assert ts.locate(Net(nnx.Rngs(0)), Net(nnx.Rngs(0)), X)


@pytest.mark.parametrize(
    ("faulty", "where", "target"),
    [({"epsilon": 1e-2}, "layer", "norm"), ({"flaw": "no tanh"}, "between", "last")],
)
def test_faults_are_found(tmp_path, faulty, where, target):
    source, net = Net(nnx.Rngs(0)), Net(nnx.Rngs(0), **faulty)
    ts.trace(source, X, tmp_path / "a.trace")
    for given in (source, tmp_path / "a.trace"):
        first = ts.locate(given, net, X).first
        assert (first.where, first.target) == (where, target)
        assert first.hints[0].setting == "eps" if where == "layer" else "tanh" in first.hints[0].text


def test_gradients_and_weights():
    source, net = Net(nnx.Rngs(0)), Net(nnx.Rngs(0))
    loss = lambda y: (y**2).mean()  # noqa: E731
    assert ts.locate(source, net, X, loss=(loss, loss))
    assert ts.locate(source, net, X, loss=(loss, lambda y: (y**2).sum())).first.where == "loss"
    net.last.kernel[...] = net.last.kernel[...].at[0].set(0)
    assert ts.locate(source, net, X).first.where == "weights"
