"""What is MindSpore's own when a network is traced."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.running import observe

mindspore = pytest.importorskip("mindspore")
sys.path.insert(0, str(Path(__file__).parent))
import mindspore_nets as nets  # noqa: E402
from recorder import Recorder, arrays  # noqa: E402

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


@pytest.fixture
def graph_mode():
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    yield
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


@pytest.mark.parametrize("differentiate", [False, True])
def test_in_graph_mode_too_and_what_is_compiled_is_run_as_python(graph_mode, differentiate):
    net, seen = nets.Compiled(), Recorder()
    output = observe(net, X, seen, loss=nets.total if differentiate else None).output
    assert seen.told == [("", None), ("dense", 0), ("dense", 0)]
    assert np.array_equal(arrays(output)[0], 2 * seen.outputs[2])
    assert bool(seen.gradients) == differentiate
    assert mindspore.get_context("mode") == mindspore.GRAPH_MODE
    assert "MS_JIT" not in os.environ


def test_cells_with_a_backward_of_their_own():
    net, seen = nets.WithOwnBackward(), Recorder()
    observe(net, X, seen, loss=nets.total)
    assert seen.told == [("", None), ("own", 0), ("own", 0)]
    assert seen.types[1] == "tuple"
    assert np.array_equal(seen.outputs[2][0], 4 * X)
    np.testing.assert_allclose(seen.gradients[2, "outputs", (0,)], 8 * X, rtol=1e-6)
    np.testing.assert_allclose(seen.gradients[2, "inputs", (0,)], 24 * X, rtol=1e-6)
    np.testing.assert_allclose(seen.gradients[1, "outputs", (0,)], 24 * X, rtol=1e-6)
    np.testing.assert_allclose(seen.gradients[0, "inputs", (0,)], 72 * X, rtol=1e-6)
    seen = Recorder({"own": (X, None)})
    output = observe(net, X, seen, loss=nets.total).output
    assert np.array_equal(arrays(output)[0], X)
    np.testing.assert_allclose(seen.gradients[0, "inputs", (0,)], 18 * X, rtol=1e-6)
    assert vars(net.own).keys().isdisjoint({"construct", "_run_construct"})


def test_integers_in_and_nothing_to_learn():
    class Looked(mindspore.nn.Cell):
        def __init__(self):
            super().__init__()
            self.table = mindspore.nn.Embedding(5, 3)

        def construct(self, ids, scale, mask=None):
            return self.table(ids) * scale

    observe(
        Looked(), {"ids": np.array([1, 2], np.int32), "scale": 2, "mask": None}, seen := Recorder(), loss=nets.total
    )
    assert {key[:2] for key in seen.gradients} == {(0, "outputs"), (1, "outputs")}


def test_cells_that_are_recomputed_on_the_way_back_are_run_once():
    net = nets.Failing(rescued=True)
    net.last.recompute()
    observe(net, X, seen := Recorder(), training=True, loss=nets.total)
    assert [call.path for call in seen.calls] == ["", "body", "body.0", "body.1", "last"]
    assert (4, "outputs", ()) in seen.gradients
    assert net.last._recompute_cell is not None


def test_state_of_every_dtype_is_as_before():
    class Counting(mindspore.nn.Cell):
        def __init__(self):
            super().__init__()
            half = mindspore.Tensor([1.0, 2.0], mindspore.bfloat16)
            self.state = mindspore.Parameter(half, name="state", requires_grad=False)

        def construct(self, x):
            self.state.set_data(self.state + 1)
            return x * 1.0

    net = Counting()
    observe(net, X, Recorder())
    assert [ts.to_numpy(parameter.value).tolist() for parameter in ts.parameters(net)] == [[1.0, 2.0]]


def test_networks_work_on_after_exceptions_while_gradients_were_recorded():
    for _ in range(2):  # MindSpore goes on recording, and the second time fails in whatever is called next
        with pytest.raises(ValueError, match="MatMul"):
            observe(nets.Failing(), X, Recorder(), loss=nets.total)
    recurrent = mindspore.nn.RNN(3, 3, batch_first=True)
    assert recurrent(mindspore.Tensor(X[None]))[0].shape == (1, 4, 3)
