"""In the MindSpore environment: put the same files into the MindSpore networks, and compare outputs.

usage: run_in_mindspore.py FOLDER      with <net>.safetensors and <net>.npz in it
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")  # MindSpore's log: errors only

import mindspore
import numpy as np
from mindspore_nets import NETS

import ts_core as ts

TOLERANCE = 1e-4  # largest difference ÷ largest output


def main(folder: Path) -> int:
    """The exit code: 0 when both networks give the outputs that torch gave."""
    worst = 0.0
    for name, make in NETS.items():
        net = make().set_train(False)
        ts.transfer(folder / f"{name}.safetensors", net)
        data = np.load(folder / f"{name}.npz")
        outputs = net(mindspore.Tensor(data["inputs"])).asnumpy()
        difference = np.abs(outputs - data["outputs"]).max() / np.abs(data["outputs"]).max()
        print(f"{name}: largest output difference ÷ largest output: {difference:.2e}")
        worst = max(worst, float(difference))
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
