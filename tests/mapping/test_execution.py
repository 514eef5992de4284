"""Sample inputs: the order in which layers run, and whether the outputs agree."""

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha, self.beta, self.gamma = (torch.nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        return self.gamma(torch.tanh(self.beta(torch.tanh(self.alpha(x)))))


class MindSporeNet(mindspore.nn.Cell):
    """Layers of nonsense names, defined from the last to the first."""

    def __init__(self):
        super().__init__()
        self.foo, self.bar, self.baz = (mindspore.nn.Dense(4, 4) for _ in range(3))

    def construct(self, x):
        return {"scores": self.foo(mindspore.ops.tanh(self.bar(mindspore.ops.tanh(self.baz(x)))))}


INPUT = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)


def test_layers_are_matched_in_the_order_in_which_they_run():
    source, target = TorchNet(), MindSporeNet().set_train()
    before = {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(target)}
    blind = ts.weight_map(source, target)
    found = ts.weight_map(source, target, sample_inputs=INPUT)
    assert [blind["alpha.weight"], found["alpha.weight"]] == ["foo.weight", "baz.weight"]
    assert "largest difference" in found.notes[-1]
    assert float(found.notes[-1].rpartition(" ")[2]) < 1e-5
    assert {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(target)} == before
    assert source.training
    assert target.training
    ts.transfer(source, target, weight_map=found)
    with torch.no_grad():
        expected = source(torch.tensor(INPUT)).numpy()
    np.testing.assert_allclose(target(mindspore.Tensor(INPUT))["scores"].asnumpy(), expected, atol=1e-5)


def test_sample_inputs_need_two_networks(tmp_path):
    torch.save(TorchNet().state_dict(), tmp_path / "net.pth")
    with pytest.raises(ArgumentError, match="two networks"):
        ts.weight_map(tmp_path / "net.pth", MindSporeNet(), sample_inputs=INPUT)
    with pytest.raises(ArgumentError, match="target network"):
        ts.weight_map(TorchNet(), "mindspore", sample_inputs=INPUT)
