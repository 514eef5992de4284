"""Checkpoint files of every format: open them lazily, write them as a stream, whole or not at all."""

from ts_core.checkpoints._arrays import NpyFiles, npy_folder, saved_order
from ts_core.checkpoints._checkpoint import Checkpoint, open_checkpoint, open_lazily, write_checkpoint
from ts_core.checkpoints._formats import format_of, framework_of_format, known_formats

__all__ = [
    "Checkpoint",
    "NpyFiles",
    "format_of",
    "framework_of_format",
    "known_formats",
    "npy_folder",
    "open_checkpoint",
    "open_lazily",
    "saved_order",
    "write_checkpoint",
]
