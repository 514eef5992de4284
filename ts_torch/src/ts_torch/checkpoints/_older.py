"""torch's older files: streams of pickles (before 1.6), and tar archives (before 0.1.10)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.files import reading
from ts_core.contract.pickles import Budget, MalformedError, PickleBytes, brief, load
from ts_core.contract.tars import read_members
from ts_torch.checkpoints._builders import BUILDERS
from ts_torch.checkpoints._tensors import (
    Storage,
    TensorRecord,
    missing,
    quantised_class,
    storage_dtype,
    storage_key,
    storage_nbytes,
)

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a stream
_MAGIC_BYTES = 64  # more than that pickle needs
_PROTOCOL = 1001  # the second
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257

# ---------------------------------------------------------------------------------------------------------------------
# Streams of pickles: magic number, protocol, system, the object, the keys of the storages; then the storages.


def is_stream(file: ByteSource) -> bool:
    """Whether the first pickle is torch's magic number."""
    if bytes(file.read(0, 1)) != b"\x80":
        return False
    try:
        return load(PickleBytes(file.read(0, _MAGIC_BYTES))) == _MAGIC
    except ValueError:
        return False


def read_stream(file: ByteSource) -> object:
    """The pickled object in a stream of pickles."""
    storages: dict[str, Storage] = {}
    views: list[tuple[Storage, Storage, int]] = []

    def persistent_load(reference: object) -> object:
        if isinstance(reference, tuple) and len(reference) == 4 and reference[0] == "module":
            return reference[1]  # a class, with its source code, which is of no interest here
        if not isinstance(reference, tuple) or len(reference) != 6 or reference[0] != "storage":
            raise MalformedError(f"the pickle refers to {brief(reference)}, which is no storage")
        _, cls, key, _, numel, part = reference
        dtype, key, quantised = storage_dtype(cls), storage_key(key), quantised_class(cls)
        storage = storages.get(key)
        if storage is None:
            storage = storages[key] = Storage(key, dtype, storage_nbytes(numel, dtype), quantised=quantised)
        if storage.dtype != dtype or storage.quantised != quantised:
            raise MalformedError(f"the storage {key!r} holds {storage.dtype}, and {dtype} as well")
        if part is None:
            return storage
        _, offset, size = part
        piece = Storage(f"{key}, part", dtype, storage_nbytes(size, dtype), quantised=quantised)
        views.append((piece, storage, storage_nbytes(offset, dtype)))
        return piece

    with reading(file.path):
        pickles = _Pickles(file)
        _, position = pickles.at(0)
        protocol, position = pickles.at(position)
        if protocol != _PROTOCOL:
            raise file.error(f"version {brief(protocol)} of the stream cannot be read")
        _, position = pickles.at(position)  # of the system: storages are little-endian whatever it says
        root, position = pickles.at(position, persistent_load)
        keys, position = pickles.at(position)
        names = list(map(storage_key, keys)) if isinstance(keys, list) else []
        if not isinstance(keys, list) or len(set(names)) != len(names):
            raise file.error("the list of storages is no list, or names one twice")
        for name in names:
            if name not in storages:
                raise file.error(f"no tensor uses the storage {brief(name)}")
            position = _place(file, position, len(file), storages[name])
        absent = missing(storages.values())
        if absent:
            raise file.error(f"the storages {absent} are missing from the file")
        _place_views(views)
    return root


def _place(file: ByteSource, position: int, limit: int, storage: Storage) -> int:
    """Give a storage its bytes: the number of its elements, then the elements. Answers where they end."""
    if position + 8 > limit:
        raise MalformedError(f"the storage {storage.key!r} is missing: the file is cut off")
    numel = int.from_bytes(file.read(position, position + 8), "little", signed=True)
    nbytes = storage_nbytes(numel, storage.dtype)
    start, end = position + 8, position + 8 + nbytes
    if nbytes < storage.nbytes or end > limit:
        raise MalformedError(
            f"the storage {storage.key!r} should have {storage.nbytes} bytes; it says {nbytes}, "
            f"and {limit - start} are left in the file"
        )
    storage.nbytes, storage.start, storage.source = nbytes, start, file
    return end


def _place_views(views: list[tuple[Storage, Storage, int]]) -> None:
    for piece, whole, offset in views:
        if offset + piece.nbytes > whole.nbytes:
            raise MalformedError(f"the storage {piece.key!r} reaches beyond the one that it is a part of")
        piece.start, piece.source = whole.start + offset, whole.source


# ---------------------------------------------------------------------------------------------------------------------
# Tar archives: members `storages`, `tensors`, `pickle`


def is_tar(file: ByteSource) -> bool:
    """Whether a file is a tar archive; no other checkpoint is one."""
    return file.read(_TAR_MAGIC_AT, _TAR_MAGIC_AT + len(_TAR_MAGIC)) == _TAR_MAGIC


def read_tar(file: ByteSource) -> object:
    """The pickled object in a tar archive."""
    with reading(file.path):
        members = _tar_members(file)
        pickles = _Pickles(file)
        storages = _tar_storages(pickles, *members["storages"])
        objects: dict[str, object] = {**storages, **_tar_tensors(pickles, members["tensors"][0], storages)}

        def persistent_load(reference: object) -> object:
            if isinstance(reference, tuple) and reference:
                return reference[0]  # a class, with its source code
            return objects[storage_key(reference)]

        return pickles.at(members["pickle"][0], persistent_load)[0]


def _tar_members(file: ByteSource) -> dict[str, tuple[int, int]]:
    """Where each member begins and ends."""
    members = read_members(file)
    absent = {"storages", "tensors", "pickle"} - members.keys()
    if absent:
        raise file.error(f"a tar archive without {', '.join(sorted(absent))}: it was not written by torch")
    return members


def _tar_storages(pickles: _Pickles, position: int, end: int) -> dict[str, Storage]:
    storages: dict[str, Storage] = {}
    count, position = pickles.at(position)
    for _ in range(_count(count)):
        described, position = pickles.at(position)
        if not isinstance(described, tuple) or len(described) != 3:
            raise MalformedError("a storage is not described by key, location and type")
        key, _, cls = described
        key = storage_key(key)
        storage = storages[key] = Storage(key, storage_dtype(cls), 0, quantised=quantised_class(cls))
        position = _place(pickles.file, position, end, storage)
    parts, _ = pickles.at(position)
    if not isinstance(parts, list):
        raise MalformedError("the list of parts of storages is no list")
    for part in parts:
        if not isinstance(part, tuple | list) or len(part) != 4:
            raise MalformedError("a part of a storage is not described by key, storage, offset and size")
        key, whole = storage_key(part[0]), storages[storage_key(part[1])]
        storages[key] = Storage(key, whole.dtype, storage_nbytes(part[3], whole.dtype), quantised=whole.quantised)
        _place_views([(storages[key], whole, storage_nbytes(part[2], whole.dtype))])
    return storages


def _tar_tensors(pickles: _Pickles, position: int, storages: Mapping[str, Storage]) -> dict[str, TensorRecord]:
    tensors: dict[str, TensorRecord] = {}
    count, position = pickles.at(position)
    for _ in range(_count(count)):
        described, position = pickles.at(position)
        if not isinstance(described, tuple) or len(described) != 3:
            raise MalformedError("a tensor is not described by key, storage and type")
        key, storage_name, _ = described
        storage = storages[storage_key(storage_name)]
        (ndim,) = struct.unpack("<i", pickles.file.read(position, position + 4))
        if not 0 <= ndim <= 32 or storage.dtype is None:
            raise MalformedError(f"a tensor with {ndim} axes")
        end = position + 8 + 8 * (2 * ndim + 1)
        numbers = struct.unpack(f"<{2 * ndim + 1}q", pickles.file.read(position + 8, end))
        position = end
        tensors[storage_key(key)] = TensorRecord(storage, numbers[-1], numbers[:ndim], numbers[ndim:-1], storage.dtype)
    return tensors


class _Pickles:
    """The pickles in a file, which share the work that a file of its size may ask for."""

    def __init__(self, file: ByteSource) -> None:
        self.file = file
        self._budget = Budget(len(PickleBytes(file.read(0, len(file)))))

    def at(self, position: int, persistent_load: Callable[[Any], object] | None = None) -> tuple[object, int]:
        """The pickle at a position, and where it ends."""
        source = PickleBytes(self.file.read(position, len(self.file)))
        content = load(source, persistent_load, BUILDERS, self._budget)
        return content, position + source.position


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise MalformedError("a number of storages or tensors is no number")
    return value
