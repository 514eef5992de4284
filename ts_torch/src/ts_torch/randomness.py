"""torch's random numbers, and its deterministic algorithms."""

from __future__ import annotations

import os
import sys

from ts_core.contract.hooks import hookimpl


@hookimpl
def seed(seed: int, deterministic: bool) -> None:
    """Seed the generators of every device, and if asked choose the deterministic algorithms where torch has any.

    Where it has none, torch warns and goes on. See https://docs.pytorch.org/docs/stable/notes/randomness.html.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.manual_seed(seed)
    if not deterministic:
        return
    # cuBLAS reads this at its first use in the process: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
