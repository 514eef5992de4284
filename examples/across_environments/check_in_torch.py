"""In the PyTorch environment: what came back from JAX is, bit for bit, what was sent.

usage: check_in_torch.py FOLDER      with <net>.pth and <net>_back.safetensors in it
"""

import sys
from pathlib import Path

import torch
from torch_nets import NETS

import ts_core as ts


def main(folder: Path) -> int:
    """The exit code: 0 when every weight came back."""
    same = True
    for name, (make, _) in NETS.items():
        sent, net = torch.load(folder / f"{name}.pth", weights_only=True), make()
        ts.transfer(folder / f"{name}_back.safetensors", net)
        back = net.state_dict()
        changed = [
            key for key in sent if not key.endswith("num_batches_tracked") and not torch.equal(sent[key], back[key])
        ]
        print(f"{name}: {len(sent)} tensors, {', '.join(changed) or 'none'} changed")
        same = same and not changed
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
