"""Moves a ResNet-50 from PyTorch to MindSpore in three ways, and runs both: exits with 1 unless the outputs agree."""

import sys
import tempfile
from pathlib import Path

import mindspore
import numpy as np
import torch
from mindspore_net import Application, ResNet50
from torch_net import resnet50

import ts_core as ts

CLASSES = 10
TOLERANCE = 1e-4  # largest difference ÷ largest output


def custom_names(name_map: dict[str, str]) -> dict[str, str]:
    """One more level after the first part of every name: ``fc.weight`` → ``fc.custorm.weight``."""
    return {source: target.replace(".", ".custorm.", 1) for source, target in name_map.items()}


def main() -> int:
    """The exit code."""
    torch.manual_seed(0)
    torch_net = resnet50(num_classes=CLASSES)
    images = np.random.default_rng(0).standard_normal((2, 3, 96, 96)).astype(np.float32)
    with torch.no_grad():
        expected = torch_net(torch.tensor(images)).numpy()
    ways = {
        "equal structure": ({}, ResNet50(CLASSES)),
        "inside another network": ({"weight_name_prefix": "uvp"}, Application(CLASSES)),
        "names of one's own": ({"custom_name_func": custom_names}, ResNet50(CLASSES, deeper=True)),
    }
    passed = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(torch_net.state_dict(), folder / "resnet.pth")
        for way, (options, net) in ways.items():
            ts.migrator.get_weight_map(pt_net=torch_net, weight_map_save_path=folder / "map.json", **options)
            ts.migrator.convert_weight(
                weight_map_path=folder / "map.json",
                pt_file_path=folder / "resnet.pth",
                ms_file_save_path=folder / "resnet.ckpt",
                print_conv_info=False,
            )
            missing, _ = mindspore.load_param_into_net(net, mindspore.load_checkpoint(str(folder / "resnet.ckpt")))
            passed &= report(way, missing, net, images, expected)
        net = ResNet50(CLASSES, deeper=True)
        print(f"\nmatched to the network, without a word about its names:\n{ts.transfer(torch_net, net).rows[0]}")
        passed &= report("matched", [], net, images, expected)
    print("The moves are right." if passed else "The moves are NOT right.")
    return 0 if passed else 1


def report(way: str, missing: list[str], net: mindspore.nn.Cell, images: np.ndarray, expected: np.ndarray) -> bool:
    """Run the network, print how far its outputs are off, and say whether that is near enough."""
    found = net.set_train(False)(mindspore.Tensor(images)).asnumpy()
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    print(f"{way}: {len(missing)} parameters missing, largest difference ÷ largest output {difference:.1e}")
    return not missing and difference <= TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
