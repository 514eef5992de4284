"""A port whose weights are right and whose outputs are not: where, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import ts_core as ts

sys.path.insert(0, str(Path(__file__).parent))
import mindspore_net
import torch_net

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32) * 0.1


def main() -> None:
    """Move the weights, see that the outputs differ, and ask."""
    torch.manual_seed(0)
    source = torch_net.VisionTransformer().eval()
    target = mindspore_net.VisionTransformer().set_train(False)
    ts.transfer(source, target)
    report = ts.locate(source, target, IMAGES)
    print(report)
    named = {finding.hints[0].setting for finding in report.findings if finding.hints}
    gaps = {finding.target for finding in report.findings if finding.where == "between"}
    raise SystemExit(0 if named == {"eps", "approximate"} and "blocks.0.proj" in gaps else 1)


if __name__ == "__main__":
    main()
