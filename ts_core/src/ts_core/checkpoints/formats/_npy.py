"""One `.npy` file: a checkpoint of one tensor. Folders of them are read, and told, by the core itself."""

from __future__ import annotations

from ts_core.checkpoints._arrays import MAGIC, NpyFiles, npy_file
from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.formats import Format
from ts_core.contract.nouns import OpenOptions


def _sniff(source: ByteSource) -> bool:
    return source.read(0, len(MAGIC)) == MAGIC


def _open(source: ByteSource, options: OpenOptions) -> NpyFiles:
    return npy_file(source.path)


FORMAT = Format("npy", (".npy",), _sniff, _open)
