"""A Flax network run once, every call of every module told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import ts_core as ts
from ts_core.contract.tracing import Inputs, leaves, mapped
from ts_core.running import observe

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


class Recorder:
    """Keeps a copy of everything."""

    def __init__(self, answers=None):
        self.calls, self.inputs, self.outputs, self.gradients = [], {}, {}, {}
        self.answers = answers or {}

    def enter(self, call, args, kwargs):
        self.calls.append(call)
        self.inputs[call.number] = self._copied(args), self._copied(dict(kwargs))

    def leave(self, call, output):
        self.outputs[call.number] = self._copied(output)
        return self.answers.get(call.path)

    def gradient(self, call, side, place, gradient):
        assert (call.number, side, place) not in self.gradients
        self.gradients[call.number, side, place] = np.array(ts.to_numpy(gradient))

    @staticmethod
    def _copied(value):
        return mapped(value, lambda _, leaf: np.array(ts.to_numpy(leaf)) if hasattr(leaf, "shape") else leaf)

    @property
    def told(self):
        return [(call.path, call.parent) for call in self.calls]


class Inner(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x, scale=1.0):
        y = self.dense(x) * scale
        return {"y": y, "rest": (y * 2, None)}


class Scaled(Inner):
    """Calls the ``__call__`` of the class that it is made from."""

    def __call__(self, x):
        return super().__call__(x, scale=3.0)["y"]


class Net(nnx.Module):
    def __init__(self, rngs):
        self.inner = Inner(rngs)
        self.scaled = Scaled(rngs)
        self.body = nnx.Sequential(nnx.Linear(3, 3, rngs=rngs), jnp.tanh)
        self.shared = self.again = nnx.Linear(3, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, *, scale=2.0):
        found = self.inner(x, scale=scale)
        x = self.scaled(self.body(found["y"] + found["rest"][0] + x))
        x = self.again(self.shared(x))
        return {"out": self.drop(self.norm(x)), "skip": (x, None)}


CALLS = [
    ("", None),
    ("inner", 0),
    ("inner.dense", 1),
    ("body", 0),
    ("body.layers.0", 3),
    ("scaled", 0),
    ("scaled.dense", 5),
    ("shared", 0),
    ("shared", 0),
    ("norm", 0),
    ("drop", 0),
]


def loss(output):
    return (output["out"] ** 2).sum() + output["skip"][0].sum()


def state(net):
    values = [
        np.asarray(jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
        for leaf in jax.tree.leaves(nnx.state(net))
    ]
    calls = [vars(type(module)).get("__call__") for _, module in nnx.iter_modules(net)]
    return [value.tobytes() for value in values], calls, net.drop.deterministic, net.norm.use_running_average


@pytest.mark.parametrize("training", [False, True])
def test_every_call_is_told_and_everything_is_as_before(training):
    net, seen = Net(nnx.Rngs(0)), Recorder()
    before = state(net)
    output = observe(net, {"x": X}, seen, training=training).output
    assert seen.told == CALLS
    assert seen.calls[8].layer is net.shared
    assert seen.inputs[1][1] == {"scale": 2.0}
    assert np.array_equal(seen.inputs[0][1]["x"], X)
    assert seen.outputs[0]["skip"][1] is None
    assert np.array_equal(ts.to_numpy(output["out"]), seen.outputs[10])
    assert (seen.outputs[10] == 0).any() == training
    differentiated = Recorder()
    observe(net, {"x": X}, differentiated, training=training, loss=loss)
    assert differentiated.told == CALLS
    for number, outputs in seen.outputs.items():
        for (place, leaf), (there, other) in zip(leaves(outputs), leaves(differentiated.outputs[number]), strict=True):
            assert place == there
            assert leaf is other is None or np.allclose(leaf, other, atol=1e-5)
    assert state(net) == before


def test_gradients_are_those_of_jax():
    net, seen = Net(nnx.Rngs(0)), Recorder()
    observe(net, Inputs((X,), {"scale": 0.5}), seen, loss=loss)
    sides = {key[:2] for key in seen.gradients}
    assert sides == {(number, side) for number in range(11) for side in ("inputs", "outputs")}
    net.eval()
    expected = jax.grad(lambda x: loss(net(x, scale=0.5)))(X)
    np.testing.assert_allclose(seen.gradients[0, "inputs", (0,)], expected, rtol=1e-4)
    expected = jax.grad(lambda x: loss({"out": net.norm(x), "skip": (x, None)}))(seen.outputs[8])
    np.testing.assert_allclose(seen.gradients[8, "outputs", ()], expected, rtol=1e-4)
    replaced = Recorder({"shared": X, "body": None})
    observe(net, Inputs((X,), {"scale": 0.5}), replaced, loss=loss)
    assert np.array_equal(replaced.inputs[9][0][0], X)
    assert replaced.gradients.keys() == seen.gradients.keys()


def test_an_exception_names_the_module():
    net, seen = Net(nnx.Rngs(0)), Recorder()
    before = state(net)
    for wanted in (None, loss):
        with pytest.raises(TypeError) as caught:
            observe(net, X[:, :2], seen, loss=wanted)
        assert any("'inner.dense'" in note for note in caught.value.__notes__)
        assert state(net) == before


@pytest.mark.parametrize("wanted", [None, lambda output: (output**2).sum()])
def test_what_is_saved_inside_is_a_call_of_the_trace(tmp_path, wanted):
    class Probed(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(3, 3, rngs=rngs)

        def __call__(self, x):
            y = self.dense(x)
            ts.save(f"{tmp_path}/probe", {"sum": x + y})
            return self.dense(y)

    observe(Probed(nnx.Rngs(0)), X, seen := Recorder(), loss=wanted)
    assert seen.told == [("", None), ("dense", 0), (f"{tmp_path}/probe", 0), ("dense", 0)]
    np.testing.assert_allclose(seen.outputs[2]["sum"], X + seen.outputs[1], rtol=1e-6)
    (file,) = tmp_path.iterdir()
    assert np.array_equal(np.load(file), seen.outputs[2]["sum"])
