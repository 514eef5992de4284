"""Implementations by different hands: ``python zoo.py torchvision resnet50 resnet50``.

Needs ``pip install --no-deps timm torchvision mindcv`` (and pyyaml, safetensors, huggingface_hub).
"""

from __future__ import annotations

import importlib
import sys

import numpy as np

import ts_core as ts


def main(library: str, torch_name: str, mindcv_name: str, size: int = 224) -> None:
    """Move random weights from one implementation to the other, and say why the outputs differ."""
    models = importlib.import_module("mindcv.models")
    if library == "timm":
        source = importlib.import_module("timm").create_model(torch_name)
    else:
        source = importlib.import_module("torchvision").models.get_model(torch_name, weights=None)
    target = getattr(models, mindcv_name)().set_train(False)
    source.eval()
    ts.transfer(source, target)
    print(ts.locate(source, target, np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)))


if __name__ == "__main__":
    main(*sys.argv[1:4])
