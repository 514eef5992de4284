"""One training step of the same small network in PyTorch and MindSpore, compared by name.

The MindSpore network gets the weights of the PyTorch one. Both see the same batch; then the output, the loss, the
gradient of a hidden tensor and the gradients of all parameters are compared. Exit 0 when everything agrees to 1e-5,
else 1.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")  # MindSpore's log: errors only

import mindspore as ms
import numpy as np
import torch

import ts_core as ts

TOLERANCE = 1e-5


class TorchNet(torch.nn.Module):
    """A convolution, a normalisation and a linear layer."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.bn = torch.nn.BatchNorm2d(8)
        self.fc = torch.nn.Linear(8, 4)

    def forward(self, x):
        hidden = torch.relu(self.bn(self.conv(x)))
        hidden = ts.save_grad(f"{self.folder}/hidden", hidden)
        out = self.fc(hidden.mean((2, 3)))
        ts.save(f"{self.folder}/out", out)
        return out


class MindSporeNet(ms.nn.Cell):
    """The same; the calls of ts are the same too, also when MindSpore compiles the network."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.conv = ms.nn.Conv2d(3, 8, 3, pad_mode="pad", padding=1, has_bias=True)
        self.bn = ms.nn.BatchNorm2d(8)
        self.fc = ms.nn.Dense(8, 4)

    def construct(self, x):
        hidden = ms.ops.relu(self.bn(self.conv(x)))
        hidden = ts.save_grad(f"{self.folder}/hidden", hidden)
        out = self.fc(hidden.mean((2, 3)))
        ts.save(f"{self.folder}/out", out)
        return out


def main() -> int:
    """Run the step in both frameworks; the exit code."""
    ts.fix_random()
    images = np.random.randn(16, 3, 8, 8).astype(np.float32)
    targets = np.random.randn(16, 4).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        torch_folder, mindspore_folder = Path(folder, "torch"), Path(folder, "mindspore")
        torch_net = TorchNet(torch_folder).train()
        mindspore_net = MindSporeNet(str(mindspore_folder)).set_train()
        weight_map = ts.weight_map(torch_net, "mindspore")
        ts.transfer(torch_net, mindspore_net)

        torch_loss = torch.nn.functional.mse_loss(torch_net(torch.tensor(images)), torch.tensor(targets))
        torch_loss.backward()

        def loss_of(x, y):
            return ms.ops.mse_loss(mindspore_net(x), y)

        weights = mindspore_net.trainable_params()
        mindspore_loss, gradients = ms.value_and_grad(loss_of, None, weights)(ms.Tensor(images), ms.Tensor(targets))

        reports = {
            "loss": ts.compare({"loss": torch_loss}, {"loss": mindspore_loss}, rtol=0, atol=TOLERANCE),
            "gradients": ts.compare(
                ts.gradients(torch_net),
                ts.gradients(gradients, mindspore_net),
                weight_map=weight_map,
                rtol=0,
                atol=TOLERANCE,
            ),
        }
        print("output, and gradient of the hidden tensor:")
        reports["saved"] = ts.migrator.compare_npy_dir(torch_folder, mindspore_folder, rtol=0, atol=TOLERANCE)
    for name in ("loss", "gradients"):
        print(f"\n{name}:\n{reports[name]}")
    return 0 if all(reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
