"""Saving from torch: the guide's samples, devices and modes, compiled networks, gradients."""

import os
import subprocess
import sys

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")


def test_guide_scenario_3(tmp_path):
    script = """
from pathlib import Path

import ts_core as ts
import torch
x1 = torch.tensor([-0.5962, 0.3123], dtype=torch.float32)
x2 = torch.tensor([[0.4985],[0.4323]], dtype=torch.float32)
path = Path('save_pt')
file = str(path / "torch_tensor")

ts.save(file, x1)
ts.save(file, x2)
ts.save(file, {"x1":x1, "x2":x2})
ts.save(file, {"x1":x1, "x2":x2}, suffix="torch")
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    x1, x2 = np.float32([-0.5962, 0.3123]), np.float32([[0.4985], [0.4323]])
    expected = {
        "torch_tensor_float32_0.npy": x1,
        "torch_tensor_float32_1.npy": x2,
        "torch_tensor.x1_float32_2.npy": x1,
        "torch_tensor.x2_float32_3.npy": x2,
        "torch_tensor.x1_torch_float32_4.npy": x1,
        "torch_tensor.x2_torch_float32_5.npy": x2,
    }
    folder = tmp_path / "save_pt"
    assert {path.name for path in folder.iterdir()} == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(np.load(folder / name), array)


def test_dtypes_and_layouts(tmp_path, saved, saved_files):
    base = torch.arange(6.0).reshape(2, 3)
    tensors = [base.T, base.bfloat16(), base.half(), base > 2, base.to(torch.complex64).conj(), base[:, 1], base[0, 0]]
    ts.save(tmp_path / "t", tensors)
    names = ["float32", "bfloat16", "float16", "bool", "complex64", "float32", "float32"]
    assert saved(tmp_path) == [f"t.{index}_{name}" for index, name in enumerate(names)]
    for path, tensor in zip(saved_files(tmp_path), tensors, strict=True):
        expected = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
        np.testing.assert_array_equal(np.load(path), expected.resolve_conj().numpy())


def test_what_is_saved_is_the_value_at_the_call(tmp_path, saved_files):
    class Net(torch.nn.Module):
        def forward(self, x):
            ts.save(tmp_path / "x", x)
            return x.mul_(2)

    Net()(torch.ones(3))
    np.testing.assert_array_equal(np.load(saved_files(tmp_path)[0]), np.ones(3))


def test_modes(tmp_path, saved):
    layer = torch.nn.Linear(3, 3)
    x = torch.ones(2, 3)
    ts.save(tmp_path / "t", layer(x))  # requires a gradient
    with torch.no_grad():
        ts.save(tmp_path / "t", layer(x))
    with torch.inference_mode():
        ts.save(tmp_path / "t", layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        ts.save(tmp_path / "t", layer(x))
    assert saved(tmp_path) == ["t_float32", "t_float32", "t_float32", "t_bfloat16"]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: torch.eye(2).to_sparse(), r'data\["a"\]\[1\]: .*to_dense'),
        (lambda: torch.ones(2, device="meta"), r'data\["a"\]\[1\]: .*meta'),
    ],
)
def test_a_tensor_without_an_array_is_named_with_its_place(tmp_path, make, match):
    with pytest.raises(TypeError, match=match):
        ts.save(tmp_path / "t", {"a": [1, make()]})


def test_a_tensor_that_cannot_be_read_is_named_with_its_place(tmp_path):
    class Lost(torch.Tensor):
        def detach(self):
            raise RuntimeError("device lost")

    with pytest.raises(ts.errors.CaptureError, match=r'data\["a"\]\[1\]: .*Lost.*device lost'):
        ts.save(tmp_path / "t", {"a": [1, torch.ones(2).as_subclass(Lost)]})


class _Items(torch.utils.data.Dataset):
    def __init__(self, folder):
        self.folder = folder

    def __len__(self):
        return 24

    def __getitem__(self, index):
        item = torch.full((3,), float(index))
        ts.save(self.folder / "item", item)
        return item


def test_workers_of_a_data_loader_lose_nothing(tmp_path, saved_files):
    loader = torch.utils.data.DataLoader(_Items(tmp_path), batch_size=4, num_workers=2)
    assert sum(len(batch) for batch in loader) == 24
    assert sorted(np.load(path)[0] for path in saved_files(tmp_path)) == list(range(24))


COMPILED = """
import sys, torch, ts_core as ts
from torch._dynamo.utils import counters
folder = sys.argv[1]

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x, name):
        y = self.layer(x)
        ts.save(f"{folder}/{name}", y)
        z = ts.save_grad(f"{folder}/grad", y * 2)
        ts.save(file=f"{folder}/dict", data={"a": y, "b": [z]})
        return z + 1

net = Net()
compiled = torch.compile(net, backend="eager")
for step in range(20):
    x = torch.full((2, 3), float(step))
    out = compiled(x, "y")
    assert torch.equal(out, (net.layer(x) * 2) + 1)
    out.sum().backward()
with torch.no_grad():
    for rows in range(2, 6):
        compiled(torch.ones(rows, 3).to(torch.float32), "y")
print(max(counters["frames"].values()), dict(counters["stats"]))
"""


def test_compiled_network_saves_at_each_call_and_is_not_compiled_again(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", COMPILED, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "TORCH_LOGS": "recompiles"},
    )
    assert run.returncode == 0, run.stderr
    assert "recompile_limit" not in run.stderr
    assert "UserWarning" not in run.stderr  # torch's tracer stays out of our functions from the first call on
    recompiled = [line for line in run.stderr.splitlines() if "Recompiling function" in line]
    assert all("<string>" in line for line in recompiled), recompiled  # for the number of rows, not for ours
    names = [path.name.rpartition("_")[0] for path in tmp_path.iterdir()]
    assert names.count("y_float32") == 24
    assert names.count("dict.a_float32") == names.count("dict.b.0_float32") == 24
    assert names.count("grad_backward_float32") == 20


@pytest.mark.parametrize("warm", [False, True])
def test_fullgraph_says_what_to_do(tmp_path, warm):
    script = """
import sys, torch, ts_core as ts
def net(x):
    ts.save(sys.argv[1] + "/x", x)
    return x + 1
if sys.argv[2] == "True":
    torch.compile(net, backend="eager")(torch.ones(2))
    torch._dynamo.reset()
try:
    torch.compile(net, backend="eager", fullgraph=True)(torch.ones(2))
except Exception as problem:
    print(problem)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(warm)], capture_output=True, text=True, check=True
    )
    assert "compile without fullgraph=True" in run.stdout


def _extra_parameter_gradient(net, x, place):
    """The gradient of a parameter of zeros added where the function gets its `tap`."""
    extra = torch.zeros(place, requires_grad=True)
    net(x, lambda tensor: tensor + extra).sum().backward()
    return extra.grad.numpy()


def _reused(x, tap):
    hidden = x * 3
    tapped = tap(hidden)
    return tapped**2 + 5 * tapped + hidden**3


def _in_place(x, tap):
    tapped = tap(x * 3)
    torch.nn.functional.relu_(tapped)
    return tapped * 2


def _leaf(x, tap):
    return tap(x) ** 2 + x


@pytest.mark.parametrize("net", [_reused, _in_place, _leaf])
def test_save_grad_is_the_gradient_of_a_parameter_added_there(tmp_path, saved, saved_files, net):
    x = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    expected = _extra_parameter_gradient(net, x, (1, 3))
    plain = net(x, lambda tensor: tensor.clone())
    tapped = net(x, lambda tensor: ts.save_grad(tmp_path / "t", tensor))
    assert torch.equal(plain, tapped)
    assert list(tmp_path.iterdir()) == []
    tapped.sum().backward()
    assert saved(tmp_path) == ["t_backward_float32"]
    np.testing.assert_array_equal(np.load(saved_files(tmp_path)[0]), expected)


def test_save_grad_names_and_modes(tmp_path, saved, capsys):
    x = torch.ones(2, requires_grad=True)
    ts.save_grad(tmp_path / "a.npy", x, suffix=None).sum().backward()
    ts.save_grad(tmp_path / "b", x.bfloat16(), suffix="s").sum().backward()
    ts.save_grad(tmp_path / "c", x, output_mode="print").sum().backward()
    assert saved(tmp_path) == ["a_float32", "b_s_bfloat16"]
    assert "c_backward_float32\n[1. 1.]" in capsys.readouterr().out


def test_save_grad_without_a_gradient_warns(tmp_path):
    x = torch.ones(2)
    with pytest.warns(ts.errors.CaptureWarning, match="needs no gradient"):
        assert ts.save_grad(tmp_path / "t", x) is x
    with torch.no_grad(), pytest.warns(ts.errors.CaptureWarning):
        ts.save_grad(tmp_path / "t", torch.ones(2, requires_grad=True))


@pytest.mark.parametrize("data", ["text", [torch.ones(2)]])
def test_save_grad_takes_one_tensor(tmp_path, data):
    with pytest.raises(TypeError, match=type(data).__name__):
        ts.save_grad(tmp_path / "t", data)


def test_an_error_while_a_gradient_is_saved_comes_out_of_backward(tmp_path):
    (tmp_path / "file").write_text("")
    tapped = ts.save_grad(tmp_path / "file" / "t", torch.ones(2, requires_grad=True))
    with pytest.raises(OSError, match="file/t_backward_float32"):
        tapped.sum().backward()
