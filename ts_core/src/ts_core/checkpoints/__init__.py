"""Checkpoint files of every format: open them lazily, write them as a stream, whole or not at all."""

from __future__ import annotations

import os

from ts_core.checkpoints.protocols import LazyTensors


def open_checkpoint(path: str | os.PathLike[str], **options: object) -> LazyTensors:
    """A checkpoint file of any format."""
    raise NotImplementedError
