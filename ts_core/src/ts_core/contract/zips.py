"""Zip archives of tensors: where the bytes of each entry are, for reading by map; and writing them aligned.

Source of the format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, with its extension to 64-bit sizes.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ts_core.contract.byte_sources import Array, ByteSource, release
from ts_core.contract.files import RELEASED, OutputFile, raw_blocks, raw_bytes, reading
from ts_core.threads import Threads

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, …, length of the name, length of the extra field
_LOCAL_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 0x1
_END_SIGNATURE = b"PK\x05\x06"  # of the record after the directory
_END_REACH = 22 + 0xFFFF  # bytes: that record and the longest comment


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry of an archive.

    Attributes:
        name: as the archive spells it.
        offset: of its first byte in the file.
        size: of its content, in bytes.
        packed_size: of its bytes in the file; equal to `size` unless it is deflated.
        deflated: whether its bytes are compressed.
        crc: the CRC-32 of its content that the archive states.
    """

    name: str
    offset: int
    size: int
    packed_size: int
    deflated: bool
    crc: int


def is_zip(file: ByteSource) -> bool:
    """Whether a file begins as a zip archive does."""
    return file.read(0, 4) == _LOCAL_SIGNATURE


def read_directory(file: ByteSource) -> list[ZipEntry]:
    """The entries of an archive in the order of its directory; each lies inside the file and overlaps no other.

    It is parsed once, whoever asks.

    Raises:
        CheckpointError: the archive is damaged, encrypted, or compressed in another way than by deflate.
    """
    if "zip directory" not in file.parsed:
        file.parsed["zip directory"] = _parse_directory(file)
    entries: list[ZipEntry] = file.parsed["zip directory"]
    return entries


def _parse_directory(file: ByteSource) -> list[ZipEntry]:
    entries = []
    with reading(file.path):
        try:
            with file.stream() as stream, zipfile.ZipFile(stream) as archive:
                listed = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, struct.error, OSError) as problem:
            if isinstance(problem, zipfile.BadZipFile) and _END_SIGNATURE not in bytes(
                file.read(max(len(file) - _END_REACH, 0), len(file))
            ):
                raise file.error("the file is cut off: the directory at the end of a zip archive is missing") from None
            raise file.error(f"the zip archive is damaged: {problem}") from problem
        for info in listed:
            if info.flag_bits & _ENCRYPTED:
                raise file.error(f"{info.filename}: the entry is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise file.error(f"{info.filename}: compression method {info.compress_type} cannot be read")
            deflated = info.compress_type == zipfile.ZIP_DEFLATED
            if not deflated and info.file_size != info.compress_size:
                raise file.error(
                    f"{info.filename}: a stored entry of {info.file_size} bytes occupies {info.compress_size}"
                )
            offset = _data_offset(file, info)
            if offset + info.compress_size > len(file):
                raise file.error(f"{info.filename}: its {info.compress_size} bytes reach past the end of the file")
            entries.append(ZipEntry(info.filename, offset, info.file_size, info.compress_size, deflated, info.CRC))
    names = {entry.name for entry in entries}
    if len(names) < len(entries):
        raise file.error("two entries of the archive have the same name")
    _refuse_overlaps(file, entries)
    return entries


def _data_offset(file: ByteSource, info: zipfile.ZipInfo) -> int:
    """The directory names the entry's local header, which repeats the name and may have an extra field of its own."""
    start = info.header_offset
    if start < 0 or start + _LOCAL_HEADER.size > len(file):
        raise file.error(f"{info.filename}: its header lies outside the file")
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(start, start + _LOCAL_HEADER.size))
    if signature != _LOCAL_SIGNATURE:
        raise file.error(f"{info.filename}: there is no entry where the directory says")
    return int(start + _LOCAL_HEADER.size + name_length + extra_length)


def _refuse_overlaps(file: ByteSource, entries: list[ZipEntry]) -> None:
    """Overlapping entries are how a small archive pretends to hold much."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.packed_size and entry.offset < end:
            raise file.error(f"{entry.name}: its bytes overlap those of another entry")
        end = max(end, entry.offset + entry.packed_size)


ALIGNMENT = 64  # bytes: of every entry's content, so that it can be mapped and handed to vector instructions
_UINT16_MAX = 0xFFFF
_UINT32_MAX = 0xFFFFFFFF
_LARGE = 1 << 20  # bytes; from here on the checksum is computed while the content is being written
_ZIP64, _PADDING = 0x0001, 0x4246  # ids of extra fields; the second is the one that torch pads with
_VERSION, _VERSION_64 = 20, 45
_UTF8_NAMES = 0x800
_EPOCH = 0x21 << 16  # 1 January 1980: the same content always makes the same archive
_LOCAL = struct.Struct("<4sHHHIIIIHH")
_CENTRAL = struct.Struct("<4sHHHHIIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<4sIQI")


class ZipWriter:
    """Writes an archive of stored entries, the content of each aligned to 64 bytes."""

    def __init__(self, path: Path) -> None:
        self._file = OutputFile(path)
        self._directory: list[bytes] = []
        self._checksums: Threads[tuple[Any, int], int] = Threads(1, lambda block: zlib.crc32(*block))
        self._checksums.start()

    def add(self, name: str, head: bytes, array: Array | None = None) -> None:
        """Append an entry whose content is some bytes, and after them the elements of an array."""
        encoded = name.encode()
        start = self._file.position
        size = len(head) + (0 if array is None else array.nbytes)
        if array is None or size < _LARGE:
            content = head if array is None else head + raw_bytes(array)
            checksum = zlib.crc32(content)
            self._file.write(_local_header(encoded, start, size, checksum))
            self._file.write(content)
            if array is not None and size >= RELEASED:
                release(array)
        else:
            # The checksum comes before the content in the file; it takes about as long to compute as the content to
            # write, and neither needs the interpreter: do both at once and put it in afterwards.
            self._file.write(_local_header(encoded, start, size, 0))
            self._file.write(head)
            checksum = zlib.crc32(head)
            for block in raw_blocks(array):
                self._checksums.put((block, checksum))
                self._file.write(block)
                checksum = self._checksums.get()
            end = self._file.position
            self._file.seek(start)
            self._file.write(_local_header(encoded, start, size, checksum))
            self._file.seek(end)
        self._directory.append(_central_header(encoded, start, size, checksum))

    def finish(self) -> None:
        """Write the directory."""
        start = self._file.position
        directory = b"".join(self._directory)
        count, size = len(self._directory), len(directory)
        self._file.write(directory)
        if count >= _UINT16_MAX or start + size >= _UINT32_MAX:
            end = self._file.position
            self._file.write(
                _END_64.pack(b"PK\6\6", _END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, count, count, size, start)
            )
            self._file.write(_LOCATOR_64.pack(b"PK\6\7", 0, end, 1))
        count = min(count, _UINT16_MAX)
        size, start = min(size, _UINT32_MAX), min(start, _UINT32_MAX)
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))
        self._file.finish()

    def close(self) -> None:
        """Close the file."""
        self._checksums.close()
        self._file.close()


def _local_header(name: bytes, start: int, size: int, checksum: int) -> bytes:
    large = size >= _UINT32_MAX
    extra = struct.pack("<HHQQ", _ZIP64, 16, size, size) if large else b""
    padding = -(start + _LOCAL.size + len(name) + len(extra) + 4) % ALIGNMENT
    extra += struct.pack("<HH", _PADDING, padding) + bytes(padding)
    version = _VERSION_64 if large else _VERSION
    stated = min(size, _UINT32_MAX)
    sizes = (stated, stated, len(name), len(extra))
    return _LOCAL.pack(b"PK\3\4", version, _UTF8_NAMES, 0, _EPOCH, checksum, *sizes) + name + extra


def _central_header(name: bytes, start: int, size: int, checksum: int) -> bytes:
    wide = [number for number in (size, size, start) if number >= _UINT32_MAX]
    extra = struct.pack(f"<HH{len(wide)}Q", _ZIP64, 8 * len(wide), *wide) if wide else b""
    version = _VERSION_64 if wide else _VERSION
    stated = min(size, _UINT32_MAX)
    header = _CENTRAL.pack(
        b"PK\1\2", version, version, _UTF8_NAMES, 0, _EPOCH, checksum, stated, stated, len(name), len(extra),
        0, 0, 0, 0, min(start, _UINT32_MAX),
    )  # fmt: skip
    return header + name + extra
