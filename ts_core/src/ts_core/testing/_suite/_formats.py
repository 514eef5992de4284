"""Tests of the file formats of a plug-in: what reader and writer keep, and what the framework makes of the files."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import ts_core as ts
from ts_core.contract.byte_sources import MappedFile
from ts_core.contract.files import reading
from ts_core.contract.formats import Format
from ts_core.contract.nouns import CheckpointIndex, OpenOptions, TensorInfo
from ts_core.errors import TsError, UnsupportedDtypeError
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._cases import NetCase
from ts_core.testing._suite._promises import promise, same, suffix_of, told

Array = np.ndarray[Any, np.dtype[Any]]


class FormatTests(Suite):
    """The files are the framework's own, lazily read, and nothing in them is run."""

    def test_framework_reads_our_files(self, tmp_path: Path, own_format: Format, net_case: NetCase) -> None:
        """What the writer of a format writes is what the framework itself then reads, as `framework_load` tells."""
        self.need("framework files")
        path = self._ours(own_format, net_case, tmp_path)
        if path is not None:
            self._holds_all(self.framework_load(path), f"the framework reads the {own_format.name} files of the writer")

    def test_framework_files_are_read(self, tmp_path: Path, own_format: Format, net_case: NetCase) -> None:
        """What the framework itself wrote is recognised by its content, and read bit for bit."""
        self.need("framework files")
        path = self._theirs(own_format, net_case, tmp_path)
        with ts.open_checkpoint(path) as checkpoint:
            text = f"sniff of {own_format.name} knows the files that the framework writes"
            promise(checkpoint.format == own_format.name, text, f"it was opened as {checkpoint.format}")
            self._holds_all(checkpoint, f"the reader of {own_format.name} reads the framework's files")

    def test_reader(self, tmp_path: Path, own_format: Format, net_case: NetCase) -> None:
        """The index tells the shapes and dtypes of the arrays; these are read-only, and outlive the reader."""
        for path in self._files(own_format, net_case, tmp_path):
            reader = own_format.open(MappedFile(path), OpenOptions())
            promise(reader.format == own_format.name, "a reader has the name of its Format", f"{reader.format!r}")
            text = "the index of a reader is a CheckpointIndex of TensorInfos"
            promise(isinstance(reader.index, CheckpointIndex), text, f"{type(reader.index)}")
            arrays = {name: reader.read(name) for name in reader.index}
            for name, info in reader.index.items():
                array = arrays[name]
                promise(isinstance(info, TensorInfo) and info.name == name, text, f"{name}: {info!r}")
                told_so, is_so = (info.shape, info.dtype, info.nbytes), (array.shape, array.dtype, array.nbytes)
                text = "the index of a reader tells shape, dtype and nbytes of the array that `read` answers"
                promise(told_so == is_so, text, f"{name}: {told_so}, and the array {is_so}")
                promise(not array.flags.writeable, "the arrays of a reader are read-only", name)
            before = {name: array.copy() for name, array in arrays.items()}
            reader.close()
            for name, array in arrays.items():
                same(array, before[name], f"an array outlives its reader: {name}")

    def test_metadata(self, tmp_path: Path, own_format: Format) -> None:
        """Metadata comes back as it was, or as a tensor where the framework keeps it so, or is named in `dropped`."""
        if own_format.create is None:
            return
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        metadata = {"epoch": 3, "note": "text", "rate": 0.5}
        info = TensorInfo("weight", array.shape, array.dtype, array.nbytes)
        path = tmp_path / f"net{suffix_of(own_format)}"
        writer = own_format.create(path, CheckpointIndex({"weight": info}, metadata))
        writer.write("weight", array)
        writer.finish()
        writer.close()
        dropped = getattr(writer, "dropped", ())
        reader = own_format.open(MappedFile(path), OpenOptions())
        text = "metadata comes back, or the writer names it in `dropped`"
        for name, value in metadata.items():
            found = reader.read(name) if name in reader.index else reader.index.metadata.get(name)
            kept = found is not None and bool(np.all(found == value))
            promise(kept or name in dropped, text, f"{name}: {value!r}, read {found!r}")

    def test_key(self, tmp_path: Path, own_format: Format, net_case: NetCase) -> None:
        """A `key=` that leads nowhere is an error, never ignored."""
        for path in self._files(own_format, net_case, tmp_path):
            text = "`open` of a format with nested=True raises an ArgumentError for a key that leads nowhere"
            try:
                ts.open_checkpoint(path, key="no such key")
            except TsError:
                continue
            promise(False, text, f"{own_format.name} opened the file as if there were no key")

    def test_suffixes(self, tmp_path: Path, own_format: Format) -> None:
        """A file that is called so gets this format: each suffix has its dot, and is nobody else's."""
        from ts_core.checkpoints import format_of

        for suffix in own_format.suffixes if own_format.create else ():
            chosen = format_of(tmp_path / f"net{suffix}", None).name
            text = "each suffix of a Format stands for it: give it suffixes that no other format has"
            promise(chosen == own_format.name, text, f"{suffix} of {own_format.name} stands for {chosen}")

    def test_nothing_in_a_file_is_run(self, tmp_path: Path, own_format: Format, net_case: NetCase) -> None:
        """Opening and reading runs no code that a file names, in whatever part of it a pickle is."""
        canary = tmp_path / "canary"
        for name, content in self._poisoned(own_format, net_case, tmp_path, canary):
            path = tmp_path / f"poisoned{suffix_of(own_format)}"
            path.write_bytes(content)
            source = MappedFile(path)
            reason = ""
            try:
                with suppress(TsError):
                    own_format.sniff(source)
                with reading(path):
                    reader = own_format.open(source, OpenOptions())
                for tensor in reader.index:
                    reader.read(tensor)
            except TsError:
                pass  # a file that is not one of ours, or asks for what is not done
            except Exception as problem:
                reason = told(problem)
            text = "a reader runs nothing from a file: unpickle with ts_core.contract.pickles.load, never with pickle"
            promise(not canary.exists(), text, f"{own_format.name}: a pickle {name} was run")
            text = "a file that cannot be read is a CheckpointError that says why"
            promise(not reason, text, f"{own_format.name}, a pickle {name}: {reason}")

    # Helpers

    def _poisoned(self, format: Format, net_case: NetCase, folder: Path, canary: Path) -> Iterator[tuple[str, bytes]]:
        """Contents of files, each with a pickle that makes the canary, and in words where that is."""
        bait = [pickle.dumps({"weight": _Canary(canary)}, protocol) for protocol in (2, 4)]
        for pickled in bait:
            yield "as the whole file", pickled
            yield "in a zip archive", _zipped({"data.pkl": pickled, "archive/data.pkl": pickled, "weight": pickled})
        for path in self._files(format, net_case, folder):
            content = path.read_bytes()
            yield "behind a file of the format", content + bait[0]
            yield "before a file of the format", bait[0] + content
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    entries = {name: archive.read(name) for name in archive.namelist()}
                yield "in an entry of the archive", _zipped({n: _laced(e, canary) for n, e in entries.items()})
            else:
                yield "inside the pickle of the file", _laced(content, canary)

    def _files(self, format: Format, net_case: NetCase, folder: Path) -> Iterator[Path]:
        """Files of a format with the network: the one that the plug-in writes, and the framework's own."""
        ours = self._ours(format, net_case, folder)
        if ours is not None:
            yield ours
        if "framework files" not in self.absent:
            yield self._theirs(format, net_case, folder)

    def _ours(self, format: Format, net_case: NetCase, folder: Path) -> Path | None:
        path = folder / f"ours{suffix_of(format)}"
        with suppress(UnsupportedDtypeError):  # a dtype that the format cannot hold
            if format.create is not None:
                ts.save_checkpoint(self._net(net_case), path, format=format.name)
                return path
        return None

    def _theirs(self, format: Format, net_case: NetCase, folder: Path) -> Path:
        path = folder / f"theirs{suffix_of(format)}"
        self.framework_file(self._net(net_case), path)
        promise(path.is_file(), "framework_file writes the file that it is told to write", str(path))
        return path

    def _net(self, net_case: NetCase) -> Any:
        self.net, _ = self.filled(net_case.make())
        return self.net

    def _holds_all(self, arrays: Mapping[str, Any], text: str) -> None:
        """The arrays are those of the network; of tied tensors one name is enough."""
        values = self.values(self.net)
        ties = {p.name: p.tied_to or p.name for p in self.parameters(self.net)}
        there = {ties[name] for name in arrays if name in ties}
        lost = [name for name in values if name not in arrays and ties[name] not in there]
        promise(not lost, text, f"{lost} is missing in {list(arrays)}")
        for name in arrays:
            promise(name in values, text, f"{name} is no parameter of the network")
            same(np.asarray(arrays[name]), values[name], f"{text}: {name}")


class _Canary:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def _laced(content: bytes, canary: Path) -> bytes:
    """A pickle that makes the canary first, and then what it made before; anything else as it is."""
    if content[:1] != b"\x80" or content[1:2] not in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return content
    module, name = os.mkdir.__module__, os.mkdir.__qualname__
    text = str(canary).encode()
    call = b"c%s\n%s\n(X%s%stR0" % (module.encode(), name.encode(), len(text).to_bytes(4, "little"), text)
    return content[:2] + call + content[2:]


def _zipped(entries: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()
