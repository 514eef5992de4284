"""Move a trained network from PyTorch to MindSpore and prove that the move is right.

The pretrained CREPE pitch tracker is converted, loaded into a network written for MindSpore, and both networks listen
to five notes. Exit 0 when their outputs agree to 1e-5 (largest difference ÷ largest output) and both hear A4 within 10
cents, else 1.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")  # MindSpore's log: errors only

import numpy as np
from notes import NOTES, cents_off, frames, hertz
from weights import fetch

import ts_core as ts

TOLERANCE = 1e-5
A4_CENTS = 10.0
_START = time.monotonic()


def step(text: str) -> None:
    """Say what comes next, and when."""
    print(f"\n[{time.monotonic() - _START:4.1f} s] {text}", flush=True)


def main() -> int:
    """Run the demo; the exit code."""
    step("Fetching the pretrained weights of CREPE")
    pth = fetch(Path(__file__).parent / "weights")
    print(f"{pth.name}: {pth.stat().st_size:,} bytes")

    step("Importing PyTorch and MindSpore and building the network in each")
    import mindspore
    import torch
    from mindspore_net import Crepe as MindSporeCrepe
    from torch_net import Crepe as TorchCrepe

    torch_net = TorchCrepe().eval()
    torch_net.load_state_dict(torch.load(pth, weights_only=True))
    mindspore_net = MindSporeCrepe().set_train(False)

    with tempfile.TemporaryDirectory() as folder:
        weight_map, ckpt = Path(folder, "map.json"), Path(folder, "crepe.ckpt")
        step("Deriving the weight map from the PyTorch network")
        name_map, _ = ts.migrator.get_weight_map(pt_net=torch_net, weight_map_save_path=weight_map)
        renamed = sum(source != target for source, target in name_map.items())
        print(f"{len(name_map)} parameters, {renamed} of them under another name in MindSpore")

        step("Converting the file")
        ts.migrator.convert_weight(weight_map_path=weight_map, pt_file_path=pth, ms_file_save_path=ckpt)

        step("Loading it into the MindSpore network, strictly")
        ts.migrator.convert_weight_and_load(weight_map, pth, mindspore_net)
        print("every parameter of the MindSpore network was set")

        step("Comparing the two checkpoints, value by value")
        same = ts.migrator.compare_pth_and_ckpt(weight_map, pth, ckpt)

    step("Playing five notes to both networks; on a CPU, MindSpore takes a few seconds for each")
    worst, largest = 0.0, 0.0
    heard = {}
    for name, frequency in NOTES.items():
        audio = frames(frequency)
        with torch.no_grad():
            ours = torch_net(torch.from_numpy(audio)).numpy()
        theirs = mindspore_net(mindspore.Tensor(audio)).asnumpy()
        worst, largest = max(worst, float(np.abs(ours - theirs).max())), max(largest, float(np.abs(ours).max()))
        heard[name] = (hertz(ours), hertz(theirs))
        print(
            f"{name}  played {frequency:7.2f} Hz   PyTorch hears {heard[name][0]:7.2f} Hz"
            f"   MindSpore hears {heard[name][1]:7.2f} Hz   ({cents_off(heard[name][1], frequency):+.1f} cents)",
            flush=True,
        )
    difference = worst / largest
    in_tune = all(abs(cents_off(pitch, NOTES["A4"])) <= A4_CENTS for pitch in heard["A4"])

    step("Verdict")
    print(f"largest output difference ÷ largest output: {difference:.2e} (at most {TOLERANCE:.0e})")
    print(f"A4 within {A4_CENTS:.0f} cents in both: {'yes' if in_tune else 'NO'}")
    print(f"checkpoints equal: {'yes' if same else 'NO'}")
    passed = difference <= TOLERANCE and in_tune and bool(same)
    print("The move is right." if passed else "The move is NOT right.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
