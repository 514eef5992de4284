"""The suite catches bugs of traces: calls, values and gradients told wrongly, and what a run leaves behind."""

import dataclasses

import pytest
from seeding import Bugs, EachIsCaught, altered

from ts_core.contract.tracing import Inputs, Traced, mapped

torch = pytest.importorskip("torch")
bug = Bugs()


class Between:
    """Stands between an honest trace and the observer, and passes on what it is told."""

    def __init__(self, observer, net):
        self.observer, self.net = observer, net

    def enter(self, call, args, kwargs):
        self.observer.enter(call, args, kwargs)

    def leave(self, call, output):
        return self.observer.leave(call, output)

    def gradient(self, call, side, place, gradient):
        self.observer.gradient(call, side, place, gradient)


def between(cls):
    """A bug of what the observer is told."""

    def alter(honest):
        def trace_network(net, inputs, observer, training, loss):
            return honest(net, inputs, cls(observer, net), training, loss)

        return trace_network

    alter.__name__ = cls.__name__
    return alter


# Calls


@bug("trace_network", "test_trace_calls", "in the order in which calls begin")
@between
class ToldWhenTheyEnd(Between):
    def __init__(self, observer, net):
        super().__init__(observer, net)
        self.entered = {}

    def enter(self, call, args, kwargs):
        self.entered[call.number] = args, kwargs

    def leave(self, call, output):
        self.observer.enter(call, *self.entered[call.number])
        return self.observer.leave(call, output)


@bug("trace_network", "test_trace_calls", "(2, 'body.0', 0)")
@between
class EveryParentIsTheNetwork(Between):
    def enter(self, call, args, kwargs):
        super().enter(dataclasses.replace(call, parent=None if call.parent is None else 0), args, kwargs)


@bug("trace_network", "test_trace_calls", "every call is told once")
@between
class ASharedLayerOnce(Between):
    def __init__(self, observer, net):
        super().__init__(observer, net)
        self.told = {}

    def enter(self, call, args, kwargs):
        if call.path not in self.told:
            self.told[call.path] = call.number
            super().enter(call, args, kwargs)

    def leave(self, call, output):
        return super().leave(call, output) if self.told[call.path] == call.number else None


@bug("trace_network", "test_trace_calls", "every call is told once")
@between
class ContainersLeftOut(Between):
    def enter(self, call, args, kwargs):
        if not isinstance(call.layer, torch.nn.Sequential):
            super().enter(call, args, kwargs)

    def leave(self, call, output):
        return None if isinstance(call.layer, torch.nn.Sequential) else super().leave(call, output)


@bug("trace_network", "test_trace_calls", "the call that ends is the last one that began")
@between
class EndsToldOutOfOrder(Between):
    def __init__(self, observer, net):
        super().__init__(observer, net)
        self.waiting = []

    def leave(self, call, output):
        self.waiting.append((call, output))
        for each in self.waiting if call.number == 0 else ():
            super().leave(*each)


@bug("trace_network", "test_trace_calls", "'net.body'")
@between
class PathsOfAWrapper(Between):
    def enter(self, call, args, kwargs):
        super().enter(dataclasses.replace(call, path=f"net.{call.path}" if call.path else ""), args, kwargs)


@bug("trace_network", "test_trace_layers", "Call.layer is the layer")
@between
class LayersByTheirNames(Between):
    def enter(self, call, args, kwargs):
        super().enter(dataclasses.replace(call, layer=call.path), args, kwargs)


@bug("trace_network", "test_trace_calls", "nothing")
def nothing_is_told(honest):
    class Silent:
        enter = leave = gradient = staticmethod(lambda *_: None)

    return lambda net, inputs, observer, training, loss: honest(net, inputs, Silent(), training, loss)


@bug("trace_network", "test_trace_calls", "names the path of the layer")
def failures_without_a_layer(honest):
    def trace_network(net, inputs, observer, training, loss):
        try:
            return honest(net, inputs, observer, training, loss)
        except RuntimeError as problem:
            raise RuntimeError(str(problem)) from None

    return trace_network


@bug("trace_network", "test_trace_calls", "an exception inside the network comes out")
def failures_swallowed(honest):
    def trace_network(net, inputs, observer, training, loss):
        try:
            return honest(net, inputs, observer, training, loss)
        except RuntimeError:
            return Traced(None)

    return trace_network


# Values


@bug("trace_network", "test_trace_values", "trace_network answers a Traced")
def answers_nothing(honest):
    def trace_network(net, inputs, observer, training, loss):
        honest(net, inputs, observer, training, loss)

    return trace_network


@bug("trace_network", "test_trace_values", "trace_network answers a Traced")
def answers_the_output(honest):
    def trace_network(net, inputs, observer, training, loss):
        traced = honest(net, inputs, observer, training, loss)
        return traced and traced.output

    return trace_network


@bug("trace_network", "test_trace_values", "nested as they were")
def keywords_forgotten(honest):
    def trace_network(net, inputs, observer, training, loss):
        return honest(net, Inputs(inputs.args), observer, training, loss)

    return trace_network


@bug("trace_network", "test_trace_values", "at ['out']")
@between
class ToldTooLate(Between):
    def leave(self, call, output):
        return super().leave(call, mapped(output, lambda _, leaf: None if leaf is None else leaf * 1.001))


@bug("trace_network", "test_trace_computes", "computes what it computes without")
def inputs_rounded(honest):
    def trace_network(net, inputs, observer, training, loss):
        args = mapped(inputs.args, lambda _, leaf: leaf.astype("float16").astype(leaf.dtype))
        return honest(net, Inputs(args, inputs.kwargs), observer, training, loss)

    return trace_network


@bug("trace_network", "test_trace_training", "with training=True")
def always_in_evaluation_mode(honest):
    return lambda net, inputs, observer, training, loss: honest(net, inputs, observer, False, loss)


@bug("trace_network", "test_trace_replaces", "replaces the output of the call")
@between
class AnswersIgnored(Between):
    def leave(self, call, output):
        super().leave(call, output)


@bug("trace_network", "test_trace_replaces", "without the answer")
@between
class AnswersOfTheNetworkAlone(Between):
    def leave(self, call, output):
        answer = super().leave(call, output)
        return answer if call.number == 0 else None


@bug("trace_network", "test_trace_replaces", "replaces the output of the call")
@between
class AnswersToLeavesAlone(Between):
    def leave(self, call, output):
        answer = super().leave(call, output)
        return answer if isinstance(output, torch.Tensor) else None


# What stays behind


def afterwards(change):
    """A bug of a trace that does something to the network afterwards, or when it fails."""

    def alter(honest):
        def trace_network(net, inputs, observer, training, loss):
            failed = True
            try:
                traced = honest(net, inputs, observer, training, loss)
                failed = False
            finally:
                if isinstance(net, torch.nn.Module):
                    change(net, failed, training)
            return traced

        return trace_network

    alter.__name__ = change.__name__
    return alter


@bug("trace_network", "test_trace_leaves_nothing_behind", "training: True, then None")
@afterwards
def mode_not_restored(net, failed, training):
    net.train(training)


@bug("trace_network", "test_trace_leaves_nothing_behind", "then True")
@afterwards
def one_mode_for_all_restored(net, failed, training):
    net.train(net.training)


@bug("trace_network", "test_trace_leaves_nothing_behind", "_forward_hooks): None, then 1")
@afterwards
def hooks_left_behind(net, failed, training):
    for module in net.modules():
        module.register_forward_hook(lambda *_: None)


@bug("trace_network", "test_trace_leaves_nothing_behind", "after an exception of the observer")
@afterwards
def hooks_left_behind_by_a_failure(net, failed, training):
    if failed and not any(isinstance(each, torch.nn.Linear) and each.in_features == 4 for each in net.modules()):
        net.register_forward_pre_hook(lambda *_: None)


@bug("trace_network", "test_trace_leaves_nothing_behind", "trainable: True, then None")
@afterwards
def parameters_frozen(net, failed, training):
    net.requires_grad_(False)


@bug("trace_network", "test_trace_leaves_nothing_behind", ".grad: ")
@afterwards
def gradients_left_in_the_parameters(net, failed, training):
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)


@bug("trace_network", "test_trace_leaves_nothing_behind", "body.1.running_mean")
@afterwards
def statistics_moved(net, failed, training):
    for name, buffer in net.named_buffers():
        if training and "mean" in name:
            buffer.add_(1)


# Gradients


@bug("trace_network", "test_trace_gradients", "the derivative of the loss by it")
@between
class GradientsDoubled(Between):
    def gradient(self, call, side, place, gradient):
        super().gradient(call, side, place, gradient * 2)


@bug("trace_network", "test_trace_gradients", "the derivative of the loss by it")
@between
class GradientsOfTheFirstCallOnly(Between):
    def __init__(self, observer, net):
        super().__init__(observer, net)
        self.paths = set()

    def gradient(self, call, side, place, gradient):
        if (call.path, side, place) not in self.paths:
            self.paths.add((call.path, side, place))
            super().gradient(call, side, place, gradient)


@bug("trace_network", "test_trace_gradients", "the derivative of the loss by it")
@between
class GradientsOfDictsSkipped(Between):
    def gradient(self, call, side, place, gradient):
        if not any(isinstance(key, str) for key in place):
            super().gradient(call, side, place, gradient)


@bug("trace_network", "test_trace_gradients", "is told once")
@between
class GradientsToldTwice(Between):
    def gradient(self, call, side, place, gradient):
        super().gradient(call, side, place, gradient)
        super().gradient(call, side, place, gradient)


@bug("trace_network", "test_trace_gradients", "is inputs or outputs")
@between
class SidesOfItsOwn(Between):
    def gradient(self, call, side, place, gradient):
        super().gradient(call, side.removesuffix("s"), place, gradient)


@bug("trace_network", "test_trace_gradients", "input [0] of the network")
@between
class InputsAreConstants(Between):
    def gradient(self, call, side, place, gradient):
        if side == "outputs":
            super().gradient(call, side, place, gradient)


@bug("trace_network", "test_strangers", "trace_network answers None to a stranger")
def traces_strangers(honest):
    def trace_network(net, inputs, observer, training, loss):
        return honest(net, inputs, observer, training, loss) or Traced(net)

    return trace_network


@bug("trace_network", "test_trace_gradients", "trace_network runs the network")
def a_trace_that_fails(honest):
    def trace_network(net, inputs, observer, training, loss):
        raise KeyError("tiny")

    return trace_network


def test_traces_may_be_absent_with_a_reason(suite):
    import ts_torch

    module = altered("seed", ts_torch.seed)
    del module.trace_network
    reports = suite(module, "trace", "test_features", body="absent = {'trace': 'none', 'trace gradients': 'none'}")
    assert not reports.failures
    (failure,) = suite(module, "test_trace_calls").failures
    assert "implements trace_network, or declares the feature absent" in failure


def test_networks_of_the_author_have_to_show_what_the_suite_is_about(suite):
    import ts_torch

    body = "trace_nets = lambda self: list(super(TestAltered, self).trace_nets())[:1]"
    (failure,) = suite(altered("seed", ts_torch.seed), "test_trace_nets_show_the_features", body=body).failures
    assert "a layer that raises" in failure


class TestBugs(EachIsCaught):
    bugs = bug
