"""A network run once, every call of every layer told, in torch and in MindSpore."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.tracing import Inputs
from ts_core.errors import ArgumentError, NoPluginError
from ts_core.running import as_inputs, observe

sys.path.insert(0, str(Path(__file__).parent))
from recorder import Recorder, arrays, difference

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
CALLS = [
    ("", None),
    ("inner", 0),
    ("inner.dense", 1),
    ("body", 0),
    ("body.0", 3),
    ("body.1", 3),
    ("shared", 0),
    ("shared", 0),
    ("norm", 0),
    ("shared", 0),
]


@pytest.fixture(params=["torch", "mindspore"])
def nets(request):
    pytest.importorskip(request.param)
    return importlib.import_module(f"{request.param}_nets")


def state(net):
    """Values of all parameters and buffers, and the mode of every layer."""
    values = {parameter.path: ts.to_numpy(parameter.value).tobytes() for parameter in ts.parameters(net)}
    layers = net.modules() if hasattr(net, "modules") else [cell for _, cell in net.cells_and_names()]
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_hook", "_forward_pre_hook", "_backward_hooks")
    hooks = [len(getattr(layer, name, ())) for layer in layers for name in names]
    own = [name for layer in layers for name in vars(layer) if name in ("forward", "construct", "_run_construct")]
    return values, [layer.training for layer in layers], hooks, own


def test_every_call_is_told_in_order_with_what_went_in_and_came_out(nets):
    net = nets.Net()
    before, seen = state(net), Recorder()
    output = observe(net, {"x": X}, seen).output
    assert seen.told == CALLS
    assert [call.number for call in seen.calls] == list(range(10))
    assert seen.calls[6].layer is seen.calls[9].layer is net.shared
    assert seen.inputs[0][0] == ()
    assert np.array_equal(seen.inputs[0][1]["x"], X)
    assert seen.inputs[1][1] == {"scale": 2.0}
    assert np.array_equal(seen.inputs[7][0][0], seen.outputs[6])
    assert np.array_equal(seen.outputs[1]["rest"].first, 2 * seen.outputs[1]["y"])
    assert seen.outputs[0]["skip"][1] is None
    assert np.array_equal(arrays(output)[0], seen.outputs[9])
    assert seen.gradients == {}
    assert state(net) == before


@pytest.mark.parametrize("training", [False, True])
def test_modes_statistics_hooks_and_gradients_are_restored(nets, training):
    net = nets.Net()
    if nets.__name__ == "torch_nets":
        net.shared.bias.requires_grad_(False)
        net.shared.weight.grad = net.shared.weight.detach().clone()
    modes = []
    before, seen = state(net), Recorder()
    seen.leave = lambda call, output: modes.append(call.layer.training)
    observe(net, X, seen, training=training, loss=nets.loss)
    assert modes == [training] * 10
    assert state(net) == before
    if nets.__name__ == "torch_nets":
        assert not net.shared.bias.requires_grad
        assert (net.shared.weight.grad == net.shared.weight).all()
        assert net.inner.dense.weight.grad is None


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_differences(nets, training):
    net, seen = nets.Net(), Recorder()
    observe(net, Inputs((X,), {"scale": 0.5}), seen, training=training, loss=nets.loss)
    assert {key[:2] for key in seen.gradients} == {(n, side) for n in range(10) for side in ("inputs", "outputs")}

    def value(path, array):
        """The loss with one call's output put in its place."""
        answers = {path: array}
        return float(
            arrays(nets.loss(observe(net, Inputs((X,), {"scale": 0.5}), Recorder(answers), training).output))[0]
        )

    for number in (2, 3):
        expected = difference(lambda array, n=number: value(seen.calls[n].path, array), seen.outputs[number])
        np.testing.assert_allclose(seen.gradients[number, "outputs", ()], expected, rtol=0.05, atol=0.05)
    expected = difference(
        lambda array: float(
            arrays(nets.loss(observe(net, Inputs((array,), {"scale": 0.5}), Recorder(), training).output))[0]
        ),
        X,
    )
    np.testing.assert_allclose(seen.gradients[0, "inputs", (0,)], expected, rtol=0.05, atol=0.05)
    assert np.array_equal(seen.gradients[7, "outputs", ()], seen.gradients[8, "inputs", (0,)])
    assert np.array_equal(seen.gradients[6, "outputs", ()], seen.gradients[7, "inputs", (0,)])
    places = {place for number, side, place in seen.gradients if number == 1 and side == "outputs"}
    assert places == {("y",), ("rest", 0)}


def test_what_is_changed_in_place_afterwards_was_told_as_it_was(nets):
    net, seen = nets.InPlace(), Recorder()
    observe(net, X, seen, loss=nets.total)
    assert seen.told == [("", None), ("act", 0), ("dense", 0), ("act", 0)]
    assert np.array_equal(seen.inputs[1][0][0], X)
    assert np.array_equal(seen.outputs[1], np.maximum(X, 0))
    assert not (seen.outputs[2][:, 0] == 7).any()
    assert (seen.outputs[3][:, 0] == 7).all()
    into = 2 * seen.outputs[3] * (seen.inputs[3][0][0] > 0)
    into[:, 0] = 0  # what was written over has no influence
    np.testing.assert_allclose(seen.gradients[2, "outputs", ()], into, rtol=1e-5)
    weight = ts.to_numpy(net.dense.weight)
    np.testing.assert_allclose(seen.gradients[0, "inputs", (0,)], (into @ weight) * (X > 0), rtol=1e-4, atol=1e-5)


def test_an_answer_replaces_an_output(nets):
    net, plain = nets.Net(), Recorder()
    observe(net, X, plain, loss=nets.loss)
    other = {"y": X, "rest": (None, None)}  # a tuple in place of the named one; None keeps what is there
    seen = Recorder({"inner": other})
    observe(net, X, seen, loss=nets.loss)
    np.testing.assert_allclose(seen.inputs[3][0][0], 2 * X + plain.outputs[1]["rest"].first, rtol=1e-5, atol=1e-6)
    assert np.array_equal(seen.outputs[1]["y"], plain.outputs[1]["y"])  # what the layer itself returned
    alone = [call for call in plain.calls if call.path not in ("", "inner", "shared")]  # whose outputs have one use
    same = Recorder({call.path: plain.outputs[call.number] for call in alone})
    observe(net, X, same, loss=nets.loss)
    assert same.gradients.keys() == plain.gradients.keys()
    for key, gradient in same.gradients.items():  # they flow on to where the output came from
        np.testing.assert_allclose(gradient, plain.gradients[key], rtol=1e-4, atol=1e-5)
    output = observe(net, X, Recorder({"": {"out": X, "skip": (X, None)}})).output
    assert np.array_equal(arrays(output)[0], X)
    with pytest.raises(ArgumentError, match="replace the output of 'inner' has nothing at"):
        observe(net, X, Recorder({"inner": {"z": X}}))


def test_an_exception_names_the_layer_and_leaves_the_network_as_it_was(nets):
    net = nets.Failing()
    before, seen = state(net), Recorder()
    with pytest.raises((RuntimeError, ValueError)) as caught:
        observe(net, X, seen, training=True, loss=nets.total)
    assert [note for note in caught.value.__notes__ if "'body.1'" in note]
    assert state(net) == before
    assert [call.path for call in seen.calls] == ["", "body", "body.0", "body.1"]
    with pytest.raises(ZeroDivisionError) as caught:
        observe(nets.InPlace(), X, Recorder(), loss=lambda output: 1 / 0)
    assert not hasattr(caught.value, "__notes__")
    seen.leave = lambda call, output: 1 / (call.path != "body.0")
    with pytest.raises(ZeroDivisionError) as caught:
        observe(net, X, seen_from(seen))
    assert "'body.0'" in caught.value.__notes__[0]
    assert state(net) == before


def seen_from(seen):
    """A fresh observer with the same `leave`."""
    fresh = Recorder()
    fresh.leave = seen.leave
    return fresh


def test_an_exception_that_the_network_catches_is_no_call_that_ends(nets):
    net, seen = nets.Failing(rescued=True), Recorder()
    observe(net, X, seen, loss=nets.total)
    assert seen.told == [("", None), ("body", 0), ("body.0", 1), ("body.1", 1), ("last", 0)]
    assert sorted(seen.outputs) == [0, 2, 4]
    try:
        {}["of the caller"]
    except KeyError:
        observe(nets.Net(), X, seen := Recorder())
    assert sorted(seen.outputs) == list(range(10))


@pytest.mark.parametrize("differentiate", [False, True])
def test_what_is_saved_inside_is_a_call_of_the_trace(nets, differentiate, tmp_path):
    net, seen = nets.Probed(ts.save, f"{tmp_path}/probe.npy"), Recorder()
    observe(net, X, seen, loss=nets.total if differentiate else None)
    assert seen.told == [("", None), ("dense", 0), (f"{tmp_path}/probe", 0), ("dense", 0)]
    assert seen.calls[2].layer is None
    np.testing.assert_allclose(seen.outputs[2]["sum"], X + seen.outputs[1], rtol=1e-6)
    (file,) = tmp_path.iterdir()
    assert np.array_equal(np.load(file), seen.outputs[2]["sum"])
    if differentiate:
        assert {number for number, _, _ in seen.gradients} == {0, 1, 3}
    ts.save(tmp_path / "later", X)
    assert len(seen.calls) == 4


def test_inputs():
    assert as_inputs(Inputs((1,))) == Inputs((1,), {})
    given = as_inputs(([X, None], True, 2))
    assert given.args[1:] == (True, 2)
    assert given.args[0][0] is X
    assert as_inputs(X).args[0] is X
    assert as_inputs({"x": X}).kwargs["x"] is X
    assert as_inputs(np.float32(2)).args[0] == 2
    with pytest.raises(ArgumentError, match="names no argument"):
        as_inputs({0: X})
    with pytest.raises(NoPluginError, match="handles object"):
        as_inputs(object())
    with pytest.raises(NoPluginError, match="handles object"):
        observe(object(), X, Recorder())
