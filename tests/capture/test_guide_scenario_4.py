"""The guide's scenario 4: saved tensors and gradients of two frameworks, compared in folders and directly by name."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts

pytest.importorskip("torch")
pytest.importorskip("mindspore")

QUIET = {**os.environ, "GLOG_v": "3"}

FOLDERS = """
import ts_core as ts
import os
import tempfile
import mindspore as ms

data1 = ms.ops.randn((2,3))
data2 = ms.ops.randn((3,5))
cache_dir1 = tempfile.TemporaryDirectory(prefix='ta')
cache_dir2 = tempfile.TemporaryDirectory(prefix='tb')
path1 = cache_dir1.name
path2 = cache_dir2.name

ts.save(os.path.join(path1, 'data'), [data1, data2])
ts.save(os.path.join(path2, 'data'), [data1, data1])
# Use matching in numerical order
name_map = ts.migrator.get_name_map_list_by_number(path1, path2)
ts.migrator.compare_npy_dir(path1, path2, name_map_list=name_map)
"""

GRADIENTS = """
import os
import numpy as np
import ts_core as ts
import torch
import mindspore as ms
import tempfile
from pathlib import Path
class PtSimpleNet(torch.nn.Module):
    def __init__(self):
        super(PtSimpleNet, self).__init__()
        self.fc = torch.nn.Linear(10, 5)
        self.bn = torch.nn.BatchNorm1d(5)
    def forward(self, x):
        return self.bn(self.fc(x))

class MsSimpleNet(ms.nn.Cell):
    def __init__(self):
        super(MsSimpleNet, self).__init__()
        self.fc = ms.nn.Dense(10, 5)
    def construct(self, x):
        return self.fc(x)

pt_dir = tempfile.TemporaryDirectory(prefix="pt_")
ms_dir = tempfile.TemporaryDirectory(prefix="ms_")
pt_outpath = Path(pt_dir.name)
ms_outpath = Path(ms_dir.name)
inputs = np.random.randn(32, 10).astype(np.float32)
targets = np.random.randn(32, 5).astype(np.float32)

pt_net = PtSimpleNet()
pt_criterion = torch.nn.MSELoss()
pt_optimizer = torch.optim.SGD(pt_net.parameters(), lr=0.01)
pt_outputs = pt_net(torch.tensor(inputs))
pt_loss = pt_criterion(pt_outputs, torch.tensor(targets))
pt_optimizer.zero_grad()
pt_loss.backward()
# use ts.widget.get_pt_grads get torch grads
pt_grads = ts.widget.get_pt_grads(pt_net)
ts.save(str(pt_outpath / "torch_grads"), pt_grads)

ms_net = MsSimpleNet()
ms_loss_fn = ms.nn.MSELoss()

def forward_fn(inputs, targets):
    out = ms_net(inputs)
    loss = ms_loss_fn(out, targets)
    return loss

grad_fn = ms.value_and_grad(forward_fn, None, ms_net.trainable_params())
ms_loss, ms_grads = grad_fn(ms.Tensor(inputs), ms.Tensor(targets))
ts.save(str(ms_outpath / "ms_grads"), ms_grads)
ts.migrator.compare_grads_dir(pt_outpath, ms_outpath)
"""


def table(script, folder):
    """Run a sample; the cells of the rows of its table."""
    file = folder / "sample.py"
    file.write_text(script)
    run = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, cwd=folder, env=QUIET)
    assert run.returncode == 0, run.stderr[-3000:]
    lines = [line for line in run.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_folders(tmp_path):
    assert table(FOLDERS, tmp_path) == [
        ["data.0_float32_0.npy", "data.0_float32_2.npy", "True", "100.00%", "1.00000", "0.00000, 0.00000"],
        ["data.1_float32_1.npy", "data.1_float32_3.npy", "Shape is inconsistent", "0.00%", "nan", "nan, nan"],
    ]


def test_gradients_in_folders(tmp_path):
    rows = table(GRADIENTS, tmp_path)
    assert [row[:4] for row in rows] == [
        ["torch_grads.fc.weight_0_float32_0.npy", "ms_grads.0_float32_4.npy", "(5, 10)", "(5, 10)"],
        ["torch_grads.fc.bias_1_float32_1.npy", "ms_grads.1_float32_5.npy", "(5,)", "(5,)"],
        ["torch_grads.bn.weight_2_float32_2.npy", "None", "(5,)", "None"],
        ["torch_grads.bn.bias_3_float32_3.npy", "None", "(5,)", "None"],
    ]
    assert all(row[4] == "False" for row in rows)


def test_gradients_directly_by_name(tmp_path):
    """The same two networks: what MindSpore's network lacks is told by name."""
    script = (
        GRADIENTS
        + """
weight_map = ts.weight_map(pt_net, "mindspore")
report = ts.compare(ts.gradients(pt_net), ts.gradients(ms_grads, ms_net), weight_map=weight_map)
assert not report
assert [row.name for row in report.rows] == ["fc.weight", "fc.bias", "bn.weight", "bn.bias"]
assert [row.name for row in report.failed] == ["fc.weight", "fc.bias", "bn.weight", "bn.bias"]
"""
    )
    table(script, tmp_path)


def test_the_example_agrees_to_1e_5(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "gradients" / "one_step.py"
    run = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, cwd=tmp_path, env=QUIET)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    assert "hidden_backward_float32" in run.stdout
    assert "6 of 6 close" in run.stdout


def test_forms_of_what_grad_functions_return():
    import mindspore as ms

    net = ms.nn.Dense(2, 1)
    x = ms.Tensor(np.float32([[1, 2]]))
    weights = net.trainable_params()
    results = {
        "value_and_grad": ms.value_and_grad(net, None, weights)(x),
        "grad": ms.grad(net, None, weights)(x),
        "inputs too": ms.value_and_grad(net, 0, weights)(x),
        "GradOperation": ms.ops.GradOperation(get_by_list=True)(net, ms.ParameterTuple(weights))(x),
    }
    for form, result in results.items():
        for places in (net, weights, ts.parameters(net)):
            found = ts.gradients(result, places)
            assert list(found) == ["weight", "bias"], form
            np.testing.assert_array_equal(found["weight"], [[1, 2]])
            np.testing.assert_array_equal(found["bias"], [1])
    for position in (None, 0):
        with_ids = ms.grad(net, position, weights, return_ids=True)(x)
        np.testing.assert_array_equal(ts.gradients(with_ids)["weight"], [[1, 2]])
        assert list(ts.gradients(with_ids)) == ["weight", "bias"]
    alone = ms.grad(net, None, net.bias)(x)
    assert list(ts.gradients(alone, net.bias)) == ["bias"]
    with pytest.raises(ValueError, match="no names"):
        ts.gradients(results["grad"])
    with pytest.raises(ValueError, match="1 gradients for 2 parameters"):
        ts.gradients(alone, net)
    with pytest.raises(ValueError, match="place of bias"):
        ts.gradients(results["grad"], weights[::-1])
    with pytest.raises(TypeError, match="grad function"):
        ts.gradients(net)
