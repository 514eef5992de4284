"""torch's files, read and written without torch: zip archives (since 1.6), streams of pickles, and tar archives.

What torch itself does is in ``torch/serialization.py``. Here the pickle inside is read as data
(:mod:`ts_torch.pickles`), the description of each tensor is checked against the file, and a tensor is a view of it.
"""

from __future__ import annotations

import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.contract.files import MappedFile, raw_bytes, reading
from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import CheckpointIndex, OpenOptions, TensorInfo
from ts_core.contract.plan import require_dtypes
from ts_core.contract.readers import CheckpointReader, CheckpointWriter
from ts_core.contract.zips import ZipEntry, ZipWriter, read_directory
from ts_core.errors import CheckpointError, UnsupportedTensorError
from ts_torch.contents import Contents, select
from ts_torch.pickles import DTYPES, STORAGES, Global, MalformedError, Source, Storage, TensorRecord, load

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT = "torch"
_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a stream
_MAGIC_BYTES = 64  # more than that pickle needs
_PROTOCOL = 1001  # the second
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_MOST_REPEATED = 64 << 20  # bytes that a tensor with a stride of 0 may pretend to have, if the file is smaller


@hookimpl
def open_checkpoint(path: Path, options: OpenOptions) -> CheckpointReader | None:
    """A reader, if the file is a zip archive with a pickle inside, or begins as torch's older files do."""
    file = MappedFile(path)
    if bytes(file.data[:4]) == b"PK\x03\x04":
        entries = {entry.name: entry for entry in read_directory(file)}
        pickles = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
        if not pickles:
            return None
        root, byte_order = _read_zip(file, entries, pickles[0].removesuffix("data.pkl"), options)
    elif bytes(file.data[:1]) == b"\x80" and _begins_with_magic(file):
        root, byte_order = _read_stream(file), "<"
    elif bytes(file.data[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)]) == _TAR_MAGIC:
        root, byte_order = _read_tar(file), "<"
    else:
        return None
    if options.trust_pickle:
        root = _unpickled(path)
    with reading(path):
        return TorchReader(file, select(root, options.key, file), byte_order)


class TorchReader:
    """A torch file; its tensors are views of the mapped file."""

    format = FORMAT

    def __init__(self, file: MappedFile, contents: Contents, byte_order: str) -> None:
        self._file = file
        self._tensors = contents.tensors
        self._byte_order = byte_order
        infos = {}
        for name, tensor in contents.tensors.items():
            if isinstance(tensor, TensorRecord):
                try:
                    tensor.check(max(len(file), _MOST_REPEATED))
                except ValueError as problem:
                    raise file.error(f"{name}: {problem}") from problem
            infos[name] = TensorInfo(name, tensor.shape, tensor.dtype, tensor.nbytes)
        self.index = CheckpointIndex(infos, contents.metadata)

    def read(self, name: str) -> Array:
        """A view of the mapped file."""
        tensor = self._tensors[name]
        return tensor.array(self._byte_order) if isinstance(tensor, TensorRecord) else tensor

    def close(self) -> None:
        """Let go of the file; the records of its tensors hold on to it as long as they live."""
        self._tensors = {}
        self._file.close()


def _storage_dtype(cls: object) -> np.dtype[Any] | None:
    if not isinstance(cls, Global) or not cls.module.startswith("torch") or cls.name not in STORAGES:
        raise MalformedError(f"a storage of the type {cls}")
    name = STORAGES[cls.name]
    return None if name is None else DTYPES.dtype(name)


def _nbytes(numel: object, dtype: np.dtype[Any] | None) -> int:
    if type(numel) is not int or numel < 0:
        raise MalformedError(f"a storage of {numel!r:.40} elements")
    return numel * (1 if dtype is None else dtype.itemsize)


# ---------------------------------------------------------------------------------------------------------------------
# Zip archives


def _read_zip(
    file: MappedFile, entries: Mapping[str, ZipEntry], prefix: str, options: OpenOptions
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
        if options.verify and zlib.crc32(file.data[entry.offset : entry.offset + entry.size]) != entry.crc:
            raise file.error(f"the checksum of {entry.name} is wrong")

    def content(name: str) -> memoryview:
        entry = entries[name]
        return file.data[entry.offset : entry.offset + entry.size]

    storages: dict[str, Storage] = {}

    def persistent_load(reference: object) -> Storage:
        if not isinstance(reference, tuple) or len(reference) != 5 or reference[0] != "storage":
            raise MalformedError(f"the pickle refers to {reference!r:.80}, which is no storage")
        _, cls, key, _, numel = reference
        dtype = _storage_dtype(cls)
        nbytes = _nbytes(numel, dtype)
        key = str(key)
        entry = entries.get(f"{prefix}data/{key}")
        if entry is None:
            raise MalformedError(f"the storage {key!r} is missing from the archive")
        if nbytes > entry.size:
            raise MalformedError(f"the storage {key!r} should have {nbytes} bytes and has {entry.size}")
        known = storages.get(key)
        if known is None or known.dtype != dtype:
            known = storages[key] = Storage(key, dtype, entry.size, entry.offset, file.data)
        return known

    byte_order = "<"
    if f"{prefix}byteorder" in entries:
        byte_order = {b"little": "<", b"big": ">"}.get(bytes(content(f"{prefix}byteorder")), "")
        if not byte_order:
            raise file.error("the byte order is neither little nor big")
    with reading(file.path):
        return load(Source(content(f"{prefix}data.pkl")), persistent_load), byte_order


# ---------------------------------------------------------------------------------------------------------------------
# Streams of pickles: magic number, protocol, system, the object, the keys of the storages; then the storages.


def _begins_with_magic(file: MappedFile) -> bool:
    try:
        return load(Source(file.data[:_MAGIC_BYTES])) == _MAGIC
    except ValueError:
        return False


def _read_stream(file: MappedFile) -> object:
    storages: dict[str, Storage] = {}
    views: list[tuple[Storage, Storage, int]] = []

    def persistent_load(reference: object) -> object:
        if isinstance(reference, tuple) and len(reference) == 4 and reference[0] == "module":
            return reference[1]  # a class, with its source code, which is of no interest here
        if not isinstance(reference, tuple) or len(reference) != 6 or reference[0] != "storage":
            raise MalformedError(f"the pickle refers to {reference!r:.80}, which is no storage")
        _, cls, key, _, numel, part = reference
        dtype = _storage_dtype(cls)
        storage = storages.setdefault(str(key), Storage(str(key), dtype, _nbytes(numel, dtype)))
        if part is None:
            return storage
        _, offset, size = part
        piece = Storage(f"{key}, part", dtype, _nbytes(size, dtype))
        views.append((piece, storage, _nbytes(offset, dtype)))
        return piece

    with reading(file.path):
        source = Source(file.data)
        load(source)
        protocol = load(Source(file.data, source.position))
        source = Source(file.data, source.position)
        protocol = load(source)
        if protocol != _PROTOCOL:
            raise file.error(f"version {protocol!r:.40} of the stream cannot be read")
        source = Source(file.data, source.position)
        load(source)  # of the system: storages are little-endian whatever it says
        source = Source(file.data, source.position)
        root = load(source, persistent_load)
        source = Source(file.data, source.position)
        keys = load(source)
        if not isinstance(keys, list) or len(set(map(str, keys))) != len(keys):
            raise file.error("the list of storages is no list, or names one twice")
        position = source.position
        for key in keys:
            storage = storages.get(str(key))
            if storage is None:
                raise file.error(f"no tensor uses the storage {key!r:.40}")
            position = _place(file.data, position, storage)
        missing = [key for key, storage in storages.items() if storage.data is None]
        if missing:
            raise file.error(f"the storages {', '.join(missing[:5])} are missing from the file")
        _place_views(views)
    return root


def _place(data: memoryview, position: int, storage: Storage) -> int:
    """Give a storage its bytes: the number of its elements, then the elements. Answers where they end."""
    if position + 8 > len(data):
        raise MalformedError(f"the storage {storage.key!r} is missing: the file is cut off")
    numel = int.from_bytes(data[position : position + 8], "little", signed=True)
    nbytes = _nbytes(numel, storage.dtype)
    start, end = position + 8, position + 8 + nbytes
    if nbytes < storage.nbytes or end > len(data):
        raise MalformedError(
            f"the storage {storage.key!r} should have {storage.nbytes} bytes; it says {nbytes}, "
            f"and {len(data) - start} are left in the file"
        )
    storage.nbytes, storage.start, storage.data = nbytes, start, data
    return end


def _place_views(views: list[tuple[Storage, Storage, int]]) -> None:
    for piece, whole, offset in views:
        if offset + piece.nbytes > whole.nbytes:
            raise MalformedError(f"the storage {piece.key!r} reaches beyond the one that it is a part of")
        piece.start, piece.data = whole.start + offset, whole.data


# ---------------------------------------------------------------------------------------------------------------------
# Tar archives (before 0.1.10): members `storages`, `tensors`, `pickle`


def _read_tar(file: MappedFile) -> object:
    with reading(file.path):
        members = _tar_members(file)
        storages = _tar_storages(members["storages"])
        objects: dict[object, object] = {**storages, **_tar_tensors(members["tensors"], storages)}

        def persistent_load(reference: object) -> object:
            if isinstance(reference, tuple) and reference:
                return reference[0]  # a class, with its source code
            return objects[int(str(reference))]

        return load(Source(members["pickle"]), persistent_load)


def _tar_members(file: MappedFile) -> dict[str, memoryview]:
    members: dict[str, memoryview] = {}
    try:
        with tarfile.open(file.path, "r:") as archive:
            for member in archive:
                if not member.isreg() or member.sparse is not None:
                    raise file.error(f"{member.name}: a link or device in the archive")
                if member.name in members:
                    raise file.error(f"{member.name} is there twice")
                end = member.offset_data + member.size
                if member.size < 0 or end > len(file):
                    raise file.error(f"{member.name} reaches past the end of the file")
                members[member.name] = file.data[member.offset_data : end]
    except (tarfile.TarError, OSError) as problem:
        raise file.error(f"the tar archive is damaged: {problem}") from problem
    absent = {"storages", "tensors", "pickle"} - members.keys()
    if absent:
        raise file.error(f"a tar archive without {', '.join(sorted(absent))}: it was not written by torch")
    return members


def _tar_storages(data: memoryview) -> dict[object, Storage]:
    storages: dict[object, Storage] = {}
    count, position = _next(data, 0)
    for _ in range(_count(count)):
        described, position = _next(data, position)
        if not isinstance(described, tuple) or len(described) != 3:
            raise MalformedError("a storage is not described by key, location and type")
        key, _, cls = described
        storage = storages[key] = Storage(str(key), _storage_dtype(cls), 0)
        position = _place(data, position, storage)
    parts, _ = _next(data, position)
    if not isinstance(parts, list):
        raise MalformedError("the list of parts of storages is no list")
    for key, whole_key, offset, numel in parts:
        whole = storages[whole_key]
        storages[key] = Storage(str(key), whole.dtype, _nbytes(numel, whole.dtype))
        _place_views([(storages[key], whole, _nbytes(offset, whole.dtype))])
    return storages


def _tar_tensors(data: memoryview, storages: Mapping[object, Storage]) -> dict[object, TensorRecord]:
    tensors: dict[object, TensorRecord] = {}
    count, position = _next(data, 0)
    for _ in range(_count(count)):
        described, position = _next(data, position)
        if not isinstance(described, tuple) or len(described) != 3:
            raise MalformedError("a tensor is not described by key, storage and type")
        key, storage_key, _ = described
        storage = storages[storage_key]
        (ndim,) = struct.unpack_from("<i", data, position)
        if not 0 <= ndim <= 32 or storage.dtype is None:
            raise MalformedError(f"a tensor with {ndim} axes")
        numbers = struct.unpack_from(f"<{2 * ndim + 1}q", data, position + 8)
        position += 8 + 8 * len(numbers)
        tensors[key] = TensorRecord(storage, numbers[-1], numbers[:ndim], numbers[ndim:-1], storage.dtype)
    return tensors


def _next(data: memoryview, position: int) -> tuple[object, int]:
    source = Source(data, position)
    return load(source), source.position


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise MalformedError("a number of storages or tensors is no number")
    return value


# ---------------------------------------------------------------------------------------------------------------------


def _unpickled(path: Path) -> object:
    """Let torch's own loader make the object. This runs whatever code the file names."""
    import torch

    from ts_torch.tensors import tensor_to_numpy

    def plain(value: object) -> object:
        if isinstance(value, torch.nn.Module):
            value = value.state_dict()
        if isinstance(value, torch.Tensor):
            try:
                return tensor_to_numpy(value)
            except UnsupportedTensorError:
                return value
        if isinstance(value, Mapping):
            return {name: plain(inner) for name, inner in value.items()}
        return value

    return plain(torch.load(path, map_location="cpu", weights_only=False))


# ---------------------------------------------------------------------------------------------------------------------
# Writing: the archive that torch.save would make of a state dict


@hookimpl
def create_checkpoint(path: Path, format: str, index: CheckpointIndex) -> CheckpointWriter | None:
    """A writer for the format ``torch``."""
    return TorchWriter(path, index) if format == FORMAT else None


_ROOT = "archive/"
_LONGEST = 8 * 255  # bits of an integer that a pickle holds in its short form, the only one that torch reads
_STORAGE_OF = {dtype: cls for cls, dtype in STORAGES.items() if dtype is not None}


class TorchWriter:
    """Writes a state dict as torch does since 1.6; with metadata, a dict that has it beside ``state_dict``.

    ``torch.load`` reads the file with its defaults (``weights_only=True``) and with ``mmap=True``.
    """

    def __init__(self, path: Path, index: CheckpointIndex) -> None:
        require_dtypes("a torch checkpoint", index, DTYPES)
        metadata = {name: value for name, value in index.metadata.items() if _is_plain(value) and name != "state_dict"}
        self.dropped = tuple(name for name in index.metadata if name not in metadata)
        self._keys = {name: str(number) for number, name in enumerate(index)}
        content = bytes(_pickled(index, self._keys, metadata))
        self._zip = ZipWriter(path)
        self._zip.add(_ROOT + "data.pkl", content)
        self._zip.add(_ROOT + ".format_version", b"1")
        self._zip.add(_ROOT + ".storage_alignment", b"64")
        self._zip.add(_ROOT + "byteorder", b"little")

    def write(self, name: str, array: Array) -> None:
        """Append one storage."""
        self._zip.add(f"{_ROOT}data/{self._keys[name]}", raw_bytes(array))

    def finish(self) -> None:
        """Write what comes last."""
        self._zip.add(_ROOT + "version", b"3\n")
        self._zip.finish()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def _is_plain(value: object, depth: int = 8) -> bool:
    """Whether metadata is made of what needs no class to be unpickled."""
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return depth > 0 and all(
            isinstance(key, str | int) and _is_plain(item, depth - 1) for key, item in value.items()
        )
    if type(value) is int:
        return value.bit_length() < _LONGEST
    return value is None or type(value) in (bool, float, str)


def _pickled(index: CheckpointIndex, keys: Mapping[str, str], metadata: Mapping[str, object]) -> bytearray:
    """The pickle of the state dict, in protocol 2."""
    out = bytearray(b"\x80\x02")
    if metadata:
        out += b"}(" + _value("state_dict")
    out += _ORDERED_DICT + b")R("
    for name, info in index.items():
        out += _value(name) + b"".join(_tensor(info, keys[name]))
    out += b"u"
    if metadata:
        out += b"".join(_value(name) + _value(value) for name, value in metadata.items()) + b"u"
    return out + b"."


_ORDERED_DICT = b"ccollections\nOrderedDict\n"


def _tensor(info: TensorInfo, key: str) -> Iterator[bytes]:
    """Calls ``_rebuild_tensor_v2``, or ``_v3`` for a dtype that has no storage class."""
    name = str(DTYPES.spell(info.dtype))
    cls = _STORAGE_OF.get(name)
    numel = info.nbytes // info.dtype.itemsize
    strides = [1]
    for size in reversed(info.shape[1:]):
        strides.insert(0, strides[0] * max(size, 1))
    yield b"ctorch._utils\n_rebuild_tensor_v2\n(" if cls else b"ctorch._utils\n_rebuild_tensor_v3\n("
    yield b"(" + _value("storage")
    yield f"ctorch\n{cls}\n".encode() if cls else b"ctorch.storage\nUntypedStorage\n"
    yield _value(key) + _value("cpu") + _value(numel if cls else info.nbytes) + b"tQ"
    yield _value(0) + _value(info.shape) + _value(tuple(strides[: len(info.shape)]))
    yield b"\x89" + _ORDERED_DICT + b")R"  # requires no gradient; no backward hooks
    yield b"tR" if cls else f"ctorch\n{name}\ntR".encode()


def _value(value: object) -> bytes:
    """A plain value; nothing of what is written here is ever named twice, so that no memo is needed."""
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        encoded = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(encoded)) + encoded
    if isinstance(value, tuple | list):
        opening, closing = (b"(", b"t") if isinstance(value, tuple) else (b"](", b"e")
        return opening + b"".join(map(_value, value)) + closing
    if isinstance(value, dict):
        return b"}(" + b"".join(_value(key) + _value(item) for key, item in value.items()) + b"u"
    raise CheckpointError(f"{type(value).__name__} cannot be written as metadata")
