"""Checkpoint files of every format: open them lazily, write them as a stream, whole or not at all."""

from ts_core.checkpoints.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from ts_core.contract.files import MappedFile, OutputFile, raw_bytes
from ts_core.contract.readers import CheckpointReader, CheckpointWriter, LazyTensors

__all__ = [
    "Checkpoint",
    "CheckpointReader",
    "CheckpointWriter",
    "LazyTensors",
    "MappedFile",
    "OutputFile",
    "open_checkpoint",
    "raw_bytes",
    "save_checkpoint",
]
