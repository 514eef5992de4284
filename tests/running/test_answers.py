"""What an observer answers takes the place of a call, of inputs, of a gradient; modes and doubles."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.tracing import NewInputs
from ts_core.frameworks import registry
from ts_core.running import observe

sys.path.insert(0, str(Path(__file__).parent))
from recorder import Recorder
from test_traces import X, state


@pytest.fixture(params=["torch", "mindspore"])
def nets(request):
    pytest.importorskip(request.param)
    return importlib.import_module(f"{request.param}_nets")


class Answering(Recorder):
    """Answers to the begin of calls, and to gradients, by path."""

    def __init__(self, begins=None, gradients=None):
        super().__init__()
        self.begins, self.instead = begins or {}, gradients or {}

    def enter(self, call, args, kwargs):
        super().enter(call, args, kwargs)
        return self.begins.get(call.path)

    def gradient(self, call, side, place, gradient):
        super().gradient(call, side, place, gradient)
        return self.instead.get((call.path, side))


def test_an_answer_stands_in_for_a_call(nets):
    net = nets.Net()
    before, plain = state(net), Recorder()
    observe(net, X, plain)
    body = np.full_like(plain.outputs[3], 0.25)
    seen = Answering({"body": body})
    observe(net, X, seen)
    assert [path for path, _ in seen.told] == [path for path, _ in plain.told if not path.startswith("body.")]
    call = next(call for call in seen.calls if call.path == "body")
    assert np.array_equal(seen.outputs[call.number], body)
    assert state(net) == before
    again = Recorder()
    observe(net, X, again)
    assert np.array_equal(again.outputs[3], plain.outputs[3])


def test_a_call_runs_on_other_inputs(nets):
    net = nets.Net()
    plain = Recorder()
    observe(net, X, plain)
    given = tuple(np.zeros_like(array) for array in plain.inputs[8][0])
    seen = Answering({"norm": NewInputs(given)})
    observe(net, X, seen)
    assert np.array_equal(seen.inputs[8][0][0], plain.inputs[8][0][0])
    assert not np.array_equal(seen.outputs[8], plain.outputs[8])


def test_a_gradient_is_replaced_and_those_of_parameters_come_back(nets):
    net = nets.Net()
    plain = Recorder()
    traced = observe(net, X, plain, loss=nets.loss)
    assert float(ts.to_numpy(traced.loss)) == pytest.approx(float(ts.to_numpy(nets.loss(traced.output))), rel=1e-5)
    own = {p.path: p for p in ts.parameters(net) if p.trainable and p.tied_to is None}
    assert set(traced.gradients) == set(own)
    zeros = np.zeros_like(plain.outputs[8])
    silent = observe(net, X, Answering(gradients={("norm", "outputs"): zeros}), loss=nets.loss)
    norm = [path for path, p in own.items() if p.layer == "norm"]
    assert norm
    for path in norm:
        assert np.any(ts.to_numpy(traced.gradients[path]))
        assert not np.any(ts.to_numpy(silent.gradients[path]))


def test_every_layer_keeps_its_mode(nets):
    net = nets.Net()
    for mode in (True, False):
        net.norm.train(mode) if hasattr(net.norm, "train") else net.norm.set_train(mode)
        seen, told = Recorder(), Recorder()
        observe(net, X, seen, training=None)
        observe(net, X, told, training=mode)
        assert np.array_equal(seen.outputs[8], told.outputs[8])


def test_a_layer_is_copied_in_double(nets):
    net = nets.Net()
    before, plain, seen = state(net), Recorder(), Recorder()
    double = registry().first("in_double", net.inner, layer=net.inner)
    assert double is not net.inner
    observe(net.inner, X, plain)
    observe(double, X.astype(np.float64), seen)
    exact, got = (np.asarray(r.outputs[1]) for r in (seen, plain))
    assert exact.dtype == np.float64
    assert np.allclose(exact, got, atol=1e-5)
    assert state(net) == before
