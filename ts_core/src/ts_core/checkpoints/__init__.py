"""Checkpoint files of every format: open them lazily, write them as a stream, whole or not at all."""

from ts_core.checkpoints._checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from ts_core.checkpoints._formats import format_of, framework_of_format, known_formats

__all__ = ["Checkpoint", "format_of", "framework_of_format", "known_formats", "open_checkpoint", "write_checkpoint"]
