"""``ts.save_checkpoint``: any named tensors, into a checkpoint of any format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ts_core.checkpoints import write_checkpoint
from ts_core.sources import open_source


def save_checkpoint(
    tensors: object,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    max_shard_size: int | str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Write named tensors to a checkpoint of any format, one tensor at a time.

    The file appears under its name when it is complete and on the disk; until then an older one stays as it is.

    Args:
        tensors: a mapping of names to tensors of any framework, an open checkpoint, or a network.
        path: where to write.
        format: ``"mindspore"``, ``"torch"``, ``"safetensors"``, ``"npz"``; by default what the suffix stands for.
        max_shard_size: split into files of at most so many bytes (``"5GB"``) with an index beside them.
        metadata: entries that are no tensors, besides those of an open checkpoint. What the format cannot hold is
            dropped, and a warning says so.

    Raises:
        ArgumentError: the suffix stands for no format, or the format cannot be split.
        UnsupportedDtypeError: the format cannot hold a dtype or shape; nothing was written.
        CheckpointWriteError: no room, no permission.
    """
    from ts_core.log import LOGGER  # logging is a heavy import for `import ts_core`

    place = Path(path)
    dropped = write_checkpoint(
        open_source(tensors), place, format=format, max_shard_size=max_shard_size, metadata=metadata
    )
    if dropped:
        LOGGER.warning("%s: dropped metadata that the format cannot hold: %s", place, ", ".join(dropped))
