"""Gradients of MindSpore's grad functions by parameter name, whatever form they come in."""

import numpy as np
import pytest

import ts_core as ts

ms = pytest.importorskip("mindspore")
pytest.importorskip("ts_mindspore.checkpoints")

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(params=["PYNATIVE_MODE", "GRAPH_MODE"])
def mode(request):
    before = ms.get_context("mode")
    ms.set_context(mode=getattr(ms, request.param))
    yield
    ms.set_context(mode=before)


@pytest.fixture
def net():
    return ms.nn.SequentialCell(ms.nn.Dense(3, 2), ms.nn.Dense(2, 1))


def expected(net) -> dict[str, np.ndarray]:
    """Of the loss below, worked out by hand."""
    first, second = net[0], net[1]
    hidden = X @ first.weight.asnumpy().T + first.bias.asnumpy()
    back = np.ones((2, 1), np.float32) @ second.weight.asnumpy()
    return {
        "0.weight": back.T @ X,
        "0.bias": back.sum(0),
        "1.weight": hidden.sum(0, keepdims=True),
        "1.bias": np.array([2.0], np.float32),
    }


def check(found, net):
    wanted = expected(net)
    assert list(found) == list(wanted)
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, wanted[name], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(
    "form",
    [
        lambda loss, weights: ms.grad(loss, None, weights),
        lambda loss, weights: ms.grad(loss, 0, weights),
        lambda loss, weights: ms.value_and_grad(loss, None, weights),
        lambda loss, weights: ms.value_and_grad(loss, 0, weights),
        lambda loss, weights: ms.value_and_grad(loss, None, weights, return_ids=True),
    ],
    ids=["grad", "of inputs too", "with the loss", "with loss and inputs", "with ids"],
)
def test_every_form_of_result(net, form):
    def loss(x):  # a function of its own: the graph compiler parses its source
        return net(x).sum()

    results = form(loss, net.trainable_params())(ms.Tensor(X))
    check(ts.gradients(results, net), net)


def test_the_parameters_name_them_as_well_as_the_network(net):
    results = ms.grad(lambda x: net(x).sum(), None, net.trainable_params())(ms.Tensor(X))
    check(ts.gradients(results, net.trainable_params()), net)


def test_some_of_the_parameters(net):
    chosen = [net[1].bias, net[0].bias]
    results = ms.grad(lambda x: net(x).sum(), None, ms.ParameterTuple(chosen))(ms.Tensor(X))
    found = ts.gradients(results, chosen)
    assert list(found) == ["1.bias", "0.bias"]
    np.testing.assert_allclose(found["0.bias"], expected(net)["0.bias"], rtol=1e-5)


def test_without_names_or_with_other_ones_is_an_error(net):
    results = ms.grad(lambda x: net(x).sum(), None, net.trainable_params())(ms.Tensor(X))
    with pytest.raises(ValueError, match="no names"):
        ts.gradients(results)
    with pytest.raises(ValueError, match="4 gradients for 2 parameters"):
        ts.gradients(results, net[0])
    with pytest.raises(ValueError, match=r"place of .*bias"):
        ts.gradients(results, list(reversed(net.trainable_params())))
