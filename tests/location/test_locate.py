"""Faults planted in small networks are found where they are, named, and nothing else is."""

import random

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

from tests.location import mindspore_nets as ours  # noqa: E402 - they need the frameworks
from tests.location import torch_nets as theirs  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5, 6)).astype(np.float32)
IMAGES = RNG.standard_normal((2, 3, 16, 16)).astype(np.float32)
TOKENS = RNG.integers(0, 12, (3, 7)).astype(np.int32)


def loss(output):
    return (output["logits"] ** 2).mean() + output["hidden"].mean()


def pair(source, target, train=False):
    """Distinctive weights in the torch network, the same in the other."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in source.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.is_floating_point() and value.ndim < 2:
                value.add_(torch.randn(value.shape, generator=generator) * 0.2)
    ts.transfer(source, target)
    return source.train(train), target.set_train(train)


def places(report):
    return [(f.direction, f.where, f.target) for f in report.findings]


FORWARD = [
    # how the network is made, inputs → where, the layer, what the first hint says
    (lambda: ours.Mixer(first=["eps"]), ("layer", "blocks.0.norm"), "eps"),
    (lambda: ours.Mixer(second=["gelu"]), ("layer", "blocks.1.act"), "approximate"),
    (lambda: ours.Mixer(own=["no-scale"]), ("between", "blocks.1"), "multiple"),
    (lambda: ours.Mixer(second=["no-residual"]), ("between", "blocks.1"), None),
    (lambda: ours.Mixer(first=["negated"]), ("between", "blocks.0"), None),
    (lambda: ours.Mixer(first=["half"]), ("between", "blocks.0.up"), "float16"),
    (lambda: ours.Mixer(own=["offset"]), ("between", ""), "constant"),
]


@pytest.mark.parametrize(("make", "place", "cause"), FORWARD, ids=range(len(FORWARD)))
def test_a_forward_fault_is_found_where_it_is(make, place, cause):
    source, target = pair(theirs.Mixer(), make())
    report = ts.locate(source, target, X)
    assert not report
    first = report.first
    near = {
        place,
        *((place[0], f"{place[1]}.norm") for _ in [0] if place[1].startswith("blocks")),
        (place[0], "shared"),
    }
    assert (first.where, first.target) in near
    assert first.direction == "forward"
    if cause:
        assert cause in (first.hints[0].setting or first.hints[0].text)
    assert str(report).count("\n") > 2
    if place[0] == "between":
        assert any(line.file.endswith("mindspore_nets.py") for line in first.lines[1])


def test_equal_networks_agree_also_where_tanh_is_noisy():
    source, target = pair(theirs.Mixer(), ours.Mixer())
    for scale in (1.0, 3.0):
        report = ts.locate(source, target, {"x": X, "scale": scale}, loss=(loss, loss))
        assert report, report
        assert report.findings == ()
        assert report.first is None
        assert all(report.rows)


@pytest.mark.parametrize(
    ("flaws", "where", "target", "cause"),
    [
        (["same"], "layer", "pool", "pads"),
        (["flipped"], "between", "pool", "flip"),
        (["no-relu"], "between", "fc", None),
    ],
)
def test_faults_of_a_convolutional_network(flaws, where, target, cause):
    source, net = pair(theirs.Conv(), ours.Conv(flaws))
    first = ts.locate(source, net, IMAGES).first
    assert (first.where, first.target) == (where, target)
    if cause:
        assert cause in (first.hints[0].setting or first.hints[0].text)


def test_weights_come_first_and_the_rest_is_found_all_the_same():
    source, target = pair(theirs.Conv(), ours.Conv(["same"]))
    target.norm.moving_mean.set_data(mindspore.ops.zeros_like(target.norm.moving_mean))
    before = target.norm.moving_mean.asnumpy()
    report = ts.locate(source, target, IMAGES)
    assert places(report) == [("forward", "weights", "norm"), ("forward", "layer", "pool")]
    assert "norm.moving_mean" in report.first.tensors[0]
    assert np.array_equal(target.norm.moving_mean.asnumpy(), before)  # it was lent the right one


def test_every_independent_fault_is_named():
    source, target = pair(theirs.Mixer(), ours.Mixer(first=["eps"], second=["gelu", "negated"]))
    found = {(f.where, f.target) for f in ts.locate(source, target, X).findings}
    assert {("layer", "blocks.0.norm"), ("layer", "blocks.1.act"), ("between", "blocks.1")} <= found
    assert len(found) == 3


def test_faults_of_one_cause_are_told_together():
    source, target = pair(theirs.Mixer(), ours.Mixer(first=["eps", "gelu"], second=["eps"]))
    report = ts.locate(source, target, X)
    assert [f.target for f in report.findings] == ["blocks.0.norm", "blocks.0.act", "blocks.1.norm"]
    assert "the same at 1 more: blocks.1.norm" in str(report)


BACKWARD = [
    (lambda: ours.Mixer(first=["stopped"]), "blocks.0.act"),  # it has no parameters: it could be before or behind it
    (lambda: ours.Mixer(own=["detached"]), "shared"),
]


@pytest.mark.parametrize(("make", "target"), BACKWARD, ids=["stopped", "detached"])
def test_a_backward_fault_is_found_where_it_is(make, target):
    source, net = pair(theirs.Mixer(), make())
    assert ts.locate(source, net, X)
    report = ts.locate(source, net, X, loss=(loss, loss))
    assert (report.first.direction, report.first.where, report.first.target) == ("backward", "between", target)


@pytest.mark.parametrize("other", [lambda y: loss(y) * 2, lambda y: loss(y) + 0 * y["hidden"].sum() + 1])
def test_another_loss_is_its_own_finding(other):
    source, target = pair(theirs.Mixer(), ours.Mixer())
    report = ts.locate(source, target, X, loss=(loss, other))
    assert [(f.where, f.target) for f in report.findings] == [("loss", "loss")]


def test_a_parameter_that_is_not_trained_is_named():
    source, target = pair(theirs.Mixer(), ours.Mixer())
    target.head.weight.requires_grad = False
    report = ts.locate(source, target, X, loss=(loss, loss))
    assert places(report) == [("backward", "layer", "head")]
    assert "not trainable" in report.first.hints[0].text


def test_what_is_random_is_named_and_is_no_fault():
    source, target = pair(theirs.Mixer(), ours.Mixer(), train=True)
    report = ts.locate(source, target, X)
    assert report, report
    assert any("random" in note and "drop" in note for note in report.notes)


def test_another_mode_is_a_cause():
    source, target = pair(theirs.Conv(), ours.Conv(), train=True)
    target.norm.set_train(False)
    first = ts.locate(source, target, IMAGES).first
    assert (first.where, first.target, first.hints[0].setting) == ("layer", "norm", "training")


def test_recurrent_layers_and_tuples():
    source, target = pair(theirs.Recurrent(), ours.Recurrent())
    assert ts.locate(source, target, TOKENS)
    source, target = pair(theirs.Recurrent(), ours.Recurrent(batch_first=False))
    first = ts.locate(source, target, TOKENS).first
    assert (first.where, first.target, first.hints[0].setting) == ("layer", "gru", "batch_first")


def test_channels_may_be_last():
    source, target = theirs.Conv().eval(), ours.Channels().set_train(False)
    names = {n: n for n in ("fc.weight", "fc.bias")}
    for layer in ("conv1", "conv2"):
        names |= {f"{layer}.{n}": f"{layer}.layer.{n}" for n in ("weight", "bias")}
    norm = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    names |= {f"norm.{a}": f"norm.layer.{b}" for a, b in norm.items()}
    weights = ts.weight_map(source, target)
    weights = weights if weights.complete else ts.WeightMap.from_pair(names, {})
    ts.transfer(source, target, weight_map=weights)
    assert ts.locate(source, target, IMAGES, weight_map=weights)


def test_the_two_sides_may_need_other_inputs(tmp_path):
    source, target = pair(theirs.Mixer(), ours.Mixer())
    inputs = ts.Inputs(source=(torch.tensor(X), 2.0), target={"x": mindspore.Tensor(X), "scale": 2.0})
    assert ts.locate(source, target, inputs)
    inputs = ts.Inputs(source=(X, 2.0), target=(X, 2.5))
    first = ts.locate(source, target, inputs).first
    assert (first.where, first.target) == ("between", "blocks.0.norm")


def test_a_tolerance_takes_the_place_of_noise():
    source, target = pair(theirs.Mixer(), ours.Mixer(second=["gelu"]))
    assert not ts.locate(source, target, X, tolerance=(1e-5, 1e-5))
    assert ts.locate(source, target, X, tolerance=(1e-2, 1e-2))


def test_both_networks_are_left_as_they_were():
    source, target = pair(theirs.Mixer(), ours.Mixer(first=["gelu"]), train=True)
    source.blocks[0].eval()
    modes = [m.training for m in source.modules()], [c.training for _, c in target.cells_and_names()]
    values = {n: v.clone() for n, v in source.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    ts.locate(source, target, X, loss=(loss, loss), seed=3)
    assert modes == ([m.training for m in source.modules()], [c.training for _, c in target.cells_and_names()])
    assert all(torch.equal(values[n], v) for n, v in source.state_dict().items())
    assert all(p.grad is None for p in source.parameters())
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in source.modules())
    assert not any(c._forward_hook or c._forward_pre_hook for _, c in target.cells_and_names())


def test_an_interrupt_leaves_them_as_they_were():
    source, target = pair(theirs.Mixer(), ours.Mixer())

    class Interrupting(torch.nn.Linear):
        def forward(self, x):
            raise KeyboardInterrupt

    source.head.__class__ = Interrupting
    with pytest.raises(KeyboardInterrupt):
        ts.locate(source, target, X)
    assert not any(m._forward_hooks or "forward" in vars(m) for m in source.modules())


def test_memory_is_spilled():
    source, target = pair(theirs.Mixer(), ours.Mixer(first=["eps"]))
    report = ts.locate(source, target, X, memory="1KB")
    assert places(report) == places(ts.locate(source, target, X))


ERRORS = [
    (lambda s, t: ts.locate(s, t), ts.errors.ArgumentError, "inputs"),
    (lambda s, t: ts.locate(s, t, object()), ts.errors.NoPluginError, "object"),
    (lambda s, t: ts.locate(s, 3, X), ts.errors.ArgumentTypeError, "neither a network nor a trace"),
    (lambda s, t: ts.locate(s, t, X[..., :4]), ts.errors.RunError, "stem"),
    (lambda s, t: ts.locate(s, t, X, loss=loss), ts.errors.ArgumentError, "two functions"),
    (lambda s, t: ts.locate(s, t, X, loss=(lambda y: y["hidden"], loss)), ts.errors.ArgumentError, "scalar"),
    (lambda s, t: ts.locate(s, t, X, tolerance=-1), ts.errors.ArgumentError, "tolerance"),
    (lambda s, t: ts.locate(s, t, X, memory="much"), ts.errors.ArgumentError, "memory"),
    (lambda s, t: ts.locate(s, ours.Mixer(own=["raises"]), X), ts.errors.RunError, "in the network itself"),
    (lambda s, t: ts.locate(s, ours.Recurrent(), X), ts.errors.WeightMapError, "do not belong together"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=range(len(ERRORS)))
def test_what_cannot_be_searched_is_an_error_that_helps(call, error, text):
    source, target = pair(theirs.Mixer(), ours.Mixer())
    with pytest.raises(error, match=text):
        call(source, target)


def test_a_network_spread_over_devices_is_refused():
    source = theirs.Mixer()
    source.head.to("meta")
    with pytest.raises(ts.errors.ArgumentError, match="spread over"):
        ts.trace(source, X)
