"""What is torch's own when a network is traced."""

import sys
from collections import OrderedDict
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from ts_core.errors import ArgumentError
from ts_core.running import observe

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
import torch_nets as nets  # noqa: E402
from recorder import Recorder  # noqa: E402

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


@dataclass
class ModelOutput(OrderedDict):
    """As the networks of the transformers library return it."""

    loss: object = None
    logits: object = None

    def __post_init__(self):
        for field in fields(self):
            if getattr(self, field.name) is not None:
                super().__setitem__(field.name, getattr(self, field.name))

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __reduce__(self):
        make, _, *rest = super().__reduce__()
        return make, tuple(getattr(self, field.name) for field in fields(self)), *rest


@dataclass(frozen=True)
class Plain:
    logits: object
    past: object = None


class Wrapped(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.dense, self.kind = torch.nn.Linear(3, 3), kind

    def forward(self, x):
        return self.kind(logits=self.dense(x))


@pytest.mark.parametrize("kind", [ModelOutput, Plain])
def test_outputs_keep_their_type_when_something_in_them_is_replaced(kind):
    net, seen = Wrapped(kind), Recorder({"": {"logits": X}})
    output = observe(net, X, seen, loss=lambda output: output.logits.sum()).output
    assert type(output) is kind
    assert np.array_equal(output.logits.detach().numpy(), X)
    assert kind is Plain or np.array_equal(output["logits"].detach().numpy(), X)
    assert np.array_equal(seen.gradients[0, "outputs", ("logits",)], np.ones_like(X))
    assert (1, "outputs", ()) in seen.gradients


def test_optimizers_that_wait_for_gradients_and_surrounding_modes_are_left_alone():
    net, stepped = nets.Net(), []
    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(stepped.append)
    with torch.inference_mode():
        observe(net, X, seen := Recorder(), training=True, loss=nets.loss)
        assert torch.is_inference_mode_enabled()
    assert seen.gradients
    assert not stepped
    with torch.no_grad():
        observe(net, X, again := Recorder(), training=True, loss=nets.loss)
        assert not torch.is_grad_enabled()
    assert again.gradients.keys() == seen.gradients.keys()


def test_random_numbers_and_every_buffer_are_as_before():
    class Random(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("steps", torch.zeros(()))
            self.register_buffer("cache", None)
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x):
            self.steps += 1
            self.cache = x
            return self.drop(x) * self.steps

    net = Random()
    steps, state = net.steps, torch.get_rng_state()
    observe(net, X, Recorder(), training=True)
    assert net.steps is steps
    assert steps == 0
    assert net.cache is None
    assert torch.equal(torch.get_rng_state(), state)


def test_a_hook_on_a_parameter_that_is_an_input_is_removed():
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3, 3))
            self.times = torch.nn.Bilinear(3, 3, 3)

        def forward(self, x):
            return self.times(x[:3], self.weight)

    net, seen = Scaled(), Recorder()
    observe(net, X, seen, loss=nets.total)
    assert (1, "inputs", (1,)) in seen.gradients
    assert not net.weight._backward_hooks
    assert net.weight.grad is None


@pytest.mark.parametrize("reentrant", [False])
def test_what_is_recomputed_on_the_way_back_is_told_once(reentrant):
    from torch.utils.checkpoint import checkpoint

    class Saving(nets.Inner):
        def forward(self, x):
            return checkpoint(super().forward, x, use_reentrant=reentrant)["y"]

    observe(Saving(), X, seen := Recorder(), training=True, loss=nets.total)
    assert seen.told == [("", None), ("dense", 0)]
    assert (1, "outputs", ()) in seen.gradients


def test_a_compiled_network_is_run_as_it_was_written():
    net = nets.Net()
    compiled = torch.compile(net, backend="eager")
    compiled(torch.tensor(X))  # compiled before there are hooks
    observe(compiled, X, seen := Recorder())
    assert [call.path for call in seen.calls][:3] == ["", "_orig_mod", "_orig_mod.inner"]
    assert len(seen.calls) == 11


@pytest.mark.parametrize("loss", [lambda output: 1.0, lambda output: output.detach().sum()])
def test_a_loss_without_a_gradient_is_refused(loss):
    with pytest.raises(ArgumentError, match="a scalar tensor made of the output"):
        observe(nets.InPlace(), X, Recorder(), loss=loss)
