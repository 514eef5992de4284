"""In the PyTorch environment: train both networks for a few steps, and save weights, inputs and outputs.

usage: train_in_torch.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch_nets import CLASSES, NETS

STEPS = 5


def main(folder: Path) -> None:
    """Write ``<net>.pth``, and ``<net>.npz`` with ``inputs`` and ``outputs`` in evaluation mode."""
    torch.manual_seed(0)
    for name, (make, shape) in NETS.items():
        net = make()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(STEPS):
            optimizer.zero_grad()
            scores = net(torch.randn(shape))
            torch.nn.functional.cross_entropy(scores, torch.randint(CLASSES, (shape[0],))).backward()
            optimizer.step()
        inputs = torch.randn(shape)
        with torch.no_grad():
            outputs = net.eval()(inputs)
        torch.save(net.state_dict(), folder / f"{name}.pth")
        np.savez(folder / f"{name}.npz", inputs=inputs.numpy(), outputs=outputs.numpy())
        print(f"{name}: trained {STEPS} steps, saved {name}.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
