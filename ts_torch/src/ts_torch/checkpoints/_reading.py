"""Reading torch's files without torch: zip archives (since 1.6), and its older files.

What torch itself does is in ``torch/serialization.py``. Here the pickle inside is read as data
(:mod:`ts_core.contract.pickles`), the description of each tensor is checked against the file, and a tensor is a view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.files import reading
from ts_core.contract.nouns import CheckpointIndex, OpenOptions, TensorInfo
from ts_core.contract.pickles import MalformedError, PickleBytes, brief, load
from ts_core.contract.zips import ZipEntry, is_zip, read_directory
from ts_torch.checkpoints._builders import BUILDERS
from ts_torch.checkpoints._contents import Contents, select
from ts_torch.checkpoints._older import is_stream, is_tar, read_stream, read_tar
from ts_torch.checkpoints._tensors import (
    Storage,
    Tensor,
    quantised_class,
    storage_dtype,
    storage_key,
    storage_nbytes,
)
from ts_torch.checkpoints._trusted import unpickled

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_REPEATED = 64 << 20  # bytes that a tensor with a stride of 0 may pretend to have, if the file is smaller


def sniff(file: ByteSource) -> bool:
    """Whether the file is a zip archive with a pickle inside, or begins as torch's older files do."""
    if is_zip(file):
        return any(_is_root(entry.name) for entry in read_directory(file))
    return is_stream(file) or is_tar(file)


def _is_root(name: str) -> bool:
    return name.rpartition("/")[2] == "data.pkl"


def open_file(file: ByteSource, options: OpenOptions) -> TorchReader:
    """A reader of a file of torch."""
    byte_order = "<"
    if is_zip(file):
        entries = {entry.name: entry for entry in read_directory(file)}
        prefix = next(name for name in entries if _is_root(name)).removesuffix("data.pkl")
        root, byte_order = _read_zip(file, entries, prefix, options)
    elif options.trust_pickle:
        root = unpickled(file)
    else:
        root = read_stream(file) if is_stream(file) else read_tar(file)
    with reading(file.path):
        return TorchReader(file, select(root, options.key, file), byte_order)


class TorchReader:
    """A torch file; its tensors are views of the mapped file."""

    format = "torch"

    def __init__(self, file: ByteSource, contents: Contents, byte_order: str) -> None:
        self._file, self._byte_order, self._contents = file, byte_order, contents
        self._tensors = contents.tensors
        infos = self._infos(contents.tensors)
        self.index = CheckpointIndex(infos, contents.metadata, contents.sections, contents.unreadable)

    def _infos(self, tensors: Mapping[str, Tensor]) -> dict[str, TensorInfo]:
        infos = {}
        most = max(len(self._file), _MOST_REPEATED)
        for name, tensor in tensors.items():
            try:
                tensor.check(most)
            except ValueError as problem:
                raise self._file.error(f"{name}: {problem}") from problem
            infos[name] = TensorInfo(name, tensor.shape, tensor.dtype, tensor.nbytes)
        return infos

    def whole(self) -> TorchReader:
        """Everything in the file, under its full paths."""
        return TorchReader(self._file, replace(self._contents, tensors=self._contents.everything), self._byte_order)

    def read(self, name: str) -> Array:
        """A view of the mapped file, where the values are what is stored."""
        return self._tensors[name].array(self._byte_order)

    def close(self) -> None:
        """Let go of the file; the records of its tensors hold on to it as long as they live."""
        self._tensors = {}
        self._file.close()


def _read_zip(
    file: ByteSource, entries: Mapping[str, ZipEntry], prefix: str, options: OpenOptions
) -> tuple[object, str]:
    """The pickled object, and the byte order of the storages, which are entries ``<prefix>data/<key>``."""
    if f"{prefix}constants.pkl" in entries:
        raise file.error(
            "it is a TorchScript archive, which is a program: load it with torch.jit.load and save its state_dict()"
        )
    for entry in entries.values():
        if entry.deflated:
            raise file.error(
                f"{entry.name} is compressed, which torch never does: unpack the archive and zip it with -0"
            )
        if options.verify and file.crc32(entry.offset, entry.offset + entry.size) != entry.crc:
            raise file.error(f"the checksum of {entry.name} is wrong")

    def content(name: str) -> memoryview:
        entry = entries[name]
        return file.read(entry.offset, entry.offset + entry.size)

    storages: dict[str, Storage] = {}

    def persistent_load(reference: object) -> Storage:
        if not isinstance(reference, tuple) or len(reference) != 5 or reference[0] != "storage":
            raise MalformedError(f"the pickle refers to {brief(reference)}, which is no storage")
        _, cls, key, _, numel = reference
        dtype = storage_dtype(cls)
        nbytes = storage_nbytes(numel, dtype)
        key, quantised = storage_key(key), quantised_class(cls)
        entry = entries.get(f"{prefix}data/{key}")
        if entry is None:
            raise MalformedError(f"the storage {key!r} is missing from the archive")
        if nbytes > entry.size:
            raise MalformedError(f"the storage {key!r} should have {nbytes} bytes and has {entry.size}")
        known = storages.get(key)
        if known is None or known.dtype != dtype or known.quantised != quantised:
            known = storages[key] = Storage(key, dtype, entry.size, entry.offset, file, quantised)
        return known

    byte_order = "<"
    if f"{prefix}byteorder" in entries:
        byte_order = {b"little": "<", b"big": ">"}.get(bytes(content(f"{prefix}byteorder")), "")
        if not byte_order:
            raise file.error("the byte order is neither little nor big")
    if options.trust_pickle:
        return unpickled(file), "<"
    with reading(file.path):
        return load(PickleBytes(content(f"{prefix}data.pkl")), persistent_load, BUILDERS), byte_order
