import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")


@pytest.fixture
def net():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    net[1].weight.requires_grad_(False)
    net[:2](torch.arange(12.0).reshape(4, 3)).square().sum().backward()
    return net


def test_by_name_none_where_there_is_none(net):
    found = ts.gradients(net)
    assert list(found) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert [name for name, gradient in found.items() if gradient is None] == ["1.weight", "2.weight", "2.bias"]
    np.testing.assert_array_equal(found["0.weight"], net[0].weight.grad.numpy())


def test_the_arrays_outlive_the_next_step(net):
    before = ts.gradients(net)["1.bias"]
    kept = before.copy()
    net[1].bias.grad.zero_()
    np.testing.assert_array_equal(before, kept)


def test_of_a_grad_function(net):
    layer = net[2]
    results = torch.autograd.grad(layer(torch.ones(1, 2)).sum(), list(layer.parameters()))
    for places in (layer, layer.named_parameters(), dict(layer.named_parameters())):
        found = ts.gradients(results, places)
        np.testing.assert_array_equal(found["weight"], np.ones((2, 2)))
        np.testing.assert_array_equal(found["bias"], np.ones(2))
    with pytest.raises(ValueError, match="no names"):
        ts.gradients(results)
    with pytest.raises(ValueError, match="2 gradients for 5 parameters"):
        ts.gradients(results, net)
    with pytest.raises(ValueError, match="place of bias"):
        ts.gradients(results, reversed(list(layer.named_parameters())))


def test_of_a_mapping():
    found = ts.gradients({"a": torch.ones(2), "b": None})
    np.testing.assert_array_equal(found["a"], np.ones(2))
    assert found["b"] is None


@pytest.mark.parametrize("source", [None, 3, "text", [1, 2], ()])
def test_no_gradients_at_all(source):
    with pytest.raises(TypeError, match="gradients"):
        ts.gradients(source)
