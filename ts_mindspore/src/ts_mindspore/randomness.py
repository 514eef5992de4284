"""MindSpore's random numbers, and its deterministic operators."""

from __future__ import annotations

import sys

from ts_core.contract.hooks import hookimpl


@hookimpl
def seed(seed: int, deterministic: bool) -> None:
    """Seed MindSpore's generators, and if asked choose the deterministic operators where it has any."""
    mindspore = sys.modules.get("mindspore")
    if mindspore is None:
        return
    if not deterministic:  # what the generators answer from here on, and no more
        mindspore.manual_seed(seed)
        return
    mindspore.set_seed(seed)
    if mindspore.get_context("deterministic") == "ON":
        return  # `set_deterministic` may be called only once in a process
    if hasattr(mindspore, "set_deterministic"):  # since MindSpore 2.5
        mindspore.set_deterministic(True)
    else:
        mindspore.set_context(deterministic="ON")
