"""Tests of one file format by itself, without a framework; :mod:`._formats` has those with the framework's networks."""

from __future__ import annotations

import functools
import io
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.byte_sources import MappedFile
from ts_core.contract.dtypes import dtype_of
from ts_core.contract.files import reading
from ts_core.contract.formats import Format
from ts_core.contract.nouns import OpenOptions
from ts_core.errors import ArgumentError, CheckpointError, UnsupportedDtypeError
from ts_core.testing._suite._promises import kept, promise, raises, same

Array = np.ndarray[Any, np.dtype[Any]]

_FOREIGN = (b"", b"\0" * 64, b"plain text\n" * 20, b"PK\x03\x04 not really", b"\x93NUMPY\x01\0", b"\xff" * 100)
_SHAPES = ((), (0,), (5,), (2, 0, 3), (2, 3, 4))


class FormatSuite:
    """Inherit from this class, fill in what has no default, and run pytest."""

    def __init_subclass__(cls) -> None:
        """No test ends in a traceback: what a format raises breaks the promise of the test."""
        for name, member in list(vars(FormatSuite).items()):
            if name.startswith("test_") and name not in vars(cls):
                setattr(cls, name, kept(member))

    #: the name of the format
    format: ClassVar[str]
    #: names of the dtypes that it can hold
    dtypes: ClassVar[tuple[str, ...]]
    #: entries that are no tensors, of every kind that the format can hold
    metadata: ClassVar[Mapping[str, object]] = {}
    #: whether a file keeps the order in which tensors were written; not so where they are looked up by name (HDF5)
    ordered: ClassVar[bool] = True
    #: an entry that it cannot hold, and the writer declares as dropped; None when it holds everything
    droppable: ClassVar[object] = object()

    def theirs(self, path: Path, tensors: Mapping[str, Array]) -> None:
        """Write tensors as those do who own the format: its framework, the reference implementation. None: nobody."""
        raise NotImplementedError

    def read_theirs(self, path: Path) -> Mapping[str, Array]:
        """Read a file with the same means."""
        raise NotImplementedError

    def hostile(self, pickled: bytes) -> Iterable[bytes]:
        """Contents of files in which a pickle stands where a reader could come to unpickle it."""
        yield pickled

    # Helpers

    def _format(self) -> Format:
        found = [format for info in ts.plugins() for format in info.formats if format.name == self.format]
        promise(len(found) == 1, f"one plug-in that works has the format {self.format}", f"{ts.plugins()}")
        return found[0]

    def _tensors(self) -> dict[str, Array]:
        """Every dtype and shape, in an order that is not alphabetical; one array is large, one is not C-contiguous."""
        rng = np.random.default_rng(0)
        found = {}
        for dtype in map(dtype_of, reversed(self.dtypes)):
            for shape in _SHAPES:
                size = int(np.prod(shape)) * dtype.itemsize
                bits = rng.integers(0, 2 if dtype.kind == "b" else 256, size, np.uint8).tobytes()
                found[f"{dtype}.{len(shape)}.{size}"] = np.frombuffer(bits, dtype).reshape(shape)
        dtype = dtype_of(self.dtypes[0])
        found["a.transposed"] = np.arange(12).reshape(3, 4).astype(dtype).T
        found["a.large"] = np.arange(1 << 15).astype(dtype)
        return found

    def _samples(self, folder: Path) -> Iterator[tuple[Path, dict[str, Array]]]:
        """Files with these tensors: one of our writer, one of theirs."""
        format, tensors = self._format(), self._tensors()
        made = []
        if format.create is not None:
            made.append(folder / f"ours{format.suffixes[0]}")
            ts.save_checkpoint(tensors, made[-1], metadata=self.metadata)
        if type(self).theirs is not FormatSuite.theirs:
            made.append(folder / f"theirs{format.suffixes[0]}")
            self.theirs(made[-1], tensors)
        promise(bool(made), "a format that is only read has files of `theirs`")
        yield from ((path, tensors) for path in made)

    def _holds(self, found: Iterable[str], tensors: Iterable[str], text: str) -> None:
        found, expected = list(found), list(tensors)
        strange = sorted(set(found) ^ set(expected))
        promise(not strange, text, f"of one side only: {strange}")
        detail = f"{found} instead of {expected}; a format whose files keep no order says ordered = False"
        promise(len(found) == len(expected) and (found == expected or not self.ordered), text, detail)

    # The tests

    def test_what_is_read(self, tmp_path: Path) -> None:
        """Every tensor comes back bit for bit, in the order of the file, as an array that nobody can write into."""
        for path, tensors in self._samples(tmp_path):
            checkpoint = ts.open_checkpoint(path)
            promise(checkpoint.format == self.format, "a file is recognised by its content", checkpoint.format)
            self._holds(checkpoint, tensors, "the index has every tensor, in the order in which they were written")
            read = {name: checkpoint[name] for name in checkpoint}
            infos = dict(checkpoint.index)
            checkpoint.close()
            for name, array in read.items():
                told = (infos[name].shape, infos[name].dtype, infos[name].nbytes)
                promise(told == (array.shape, array.dtype, array.nbytes), "the index tells what is read", f"{told}")
                same(array, tensors[name].astype(array.dtype.newbyteorder("=")), f"{name} survives, bit for bit")
                promise(not array.flags.writeable, "an array of a file cannot be written into", name)
            names = [(section.name, section.kind) for section in checkpoint.index.sections]
            promise(len(set(names)) == len(names), "each section has a name of its own, in its kind", f"{names}")

    def test_the_name_of_a_file_does_not_matter(self, tmp_path: Path) -> None:
        """A file is known by its content, whatever it is called."""
        for path, tensors in self._samples(tmp_path):
            other = path.rename(tmp_path / "file.without.meaning")
            promise(self._format().sniff(MappedFile(other)) is True, "sniff answers True, and not to a name")
            self._holds(ts.open_checkpoint(other), tensors, "a file that is called otherwise has the same index")

    def test_foreign_files(self, tmp_path: Path) -> None:
        """A file of another kind is not taken for one of this format; one that is called so raises CheckpointError."""
        format = self._format()
        for number, content in enumerate(_FOREIGN[1:]):
            path = tmp_path / f"{number}{format.suffixes[0]}"
            path.write_bytes(content)
            promise(
                format.sniff(MappedFile(path)) is False, "sniff answers False to a foreign file", f"{content[:12]!r}"
            )
            text = "a foreign file that is called so is a CheckpointError"
            raises(CheckpointError, text, ts.open_checkpoint, path)

    def test_damaged_files(self, tmp_path: Path) -> None:
        """A file that was cut off, or of which a byte changed, is read, or refused with CheckpointError."""
        rng = np.random.default_rng(0)
        for path, _ in self._samples(tmp_path):
            content = path.read_bytes()
            head = min(len(content), 4096)
            cut = [content[: int(end)] for end in (*rng.integers(1, head, 40), len(content) - 1)]
            changed = []
            for place in (*range(min(64, head)), *rng.integers(0, head, 60)):
                changed.append(bytearray(content))
                changed[-1][int(place)] ^= int(rng.integers(1, 256))
            for each in (*cut, *changed):
                self._attempt(tmp_path / path.name, bytes(each), "a damaged file raises CheckpointError")

    def _attempt(self, path: Path, content: bytes, text: str) -> None:
        path.write_bytes(content)
        try:
            with reading(path):
                reader = self._format().open(MappedFile(path), OpenOptions())
            for name in reader.index:
                reader.read(name)
        except CheckpointError:
            return
        except Exception as problem:
            promise(False, text, f"{type(problem).__name__}: {problem}")

    def test_nothing_runs(self, tmp_path: Path) -> None:
        """Whatever a file says, nothing that it names is called."""
        canary = tmp_path / "canary"

        class Attack:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(canary),)

        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for content in (Attack(), {"w": Attack()}, {"w": np.ones(2), "x": Attack()}, {"model": {"w": Attack()}}):
                for file in self.hostile(pickle.dumps(content, protocol)):
                    self._attempt(tmp_path / "hostile", file, "a file that is not understood raises CheckpointError")
                    promise(not canary.exists(), "nothing that a file names is called", "use ts_core.contract.pickles")
        pickle.load(io.BytesIO(pickle.dumps(Attack())))  # noqa: S301 - the attack is real
        assert canary.exists()

    def test_key(self, tmp_path: Path) -> None:
        """A key that leads nowhere is refused."""
        for path, _ in self._samples(tmp_path):
            text = "a key that leads nowhere is an ArgumentError"
            raises(ArgumentError, text, functools.partial(ts.open_checkpoint, path, key="no.such.key"))

    def test_metadata(self, tmp_path: Path) -> None:
        """Metadata comes back, or the writer declares that it dropped it."""
        format = self._writable()
        path = tmp_path / f"x{format.suffixes[-1]}"
        index = ts.open_checkpoint(self._saved(path, {**self.metadata, "odd": self.droppable})).index
        for name, value in self.metadata.items():
            promise(index.metadata.get(name) == value, f"the metadata {name!r} survives", f"{index.metadata}")
        promise("odd" not in index.metadata, "what cannot be held is dropped, and not stored as something else")

    def _saved(self, path: Path, metadata: Mapping[str, object]) -> Path:
        from ts_core.checkpoints import write_checkpoint
        from ts_core.sources import open_source

        dropped = write_checkpoint(open_source({"w": self._tensors()["a.large"]}), path, metadata=metadata)
        promise(set(dropped) == {"odd"}, "the writer's `dropped` names what the format cannot hold", f"{dropped}")
        return path

    def test_what_cannot_be_held(self, tmp_path: Path) -> None:
        """A dtype that the format lacks is refused before the file exists."""
        format = self._writable()
        path = tmp_path / f"x{format.suffixes[0]}"
        for name in ("complex128", "float8_e4m3fn", "bfloat16", "uint16", "float64"):
            if name not in self.dtypes:
                text = f"{name}, which is not in dtypes, is an UnsupportedDtypeError of the writer"
                tensors = {"w": np.zeros(2).astype(dtype_of(name))}
                raises(UnsupportedDtypeError, text, ts.save_checkpoint, tensors, path)
                promise(not list(tmp_path.iterdir()), "nothing was written", name)

    def test_shards(self, tmp_path: Path) -> None:
        """A checkpoint in several files is the same one."""
        format = self._writable()
        if not format.shardable:
            pytest.skip("the format is not shardable")
        tensors = self._tensors()
        ts.save_checkpoint(tensors, tmp_path / f"x{format.suffixes[0]}", max_shard_size="20KB")
        found = ts.open_checkpoint(tmp_path / f"x{format.suffixes[0]}")
        self._holds(found, tensors, "shards hold every tensor, in order")
        for name in found:
            same(found[name], tensors[name].astype(found[name].dtype.newbyteorder("=")), f"{name} survives")

    def test_they_can_read_it(self, tmp_path: Path) -> None:
        """What our writer writes is what those read who own the format."""
        format = self._writable()
        if type(self).read_theirs is FormatSuite.read_theirs:
            pytest.skip("nobody else reads the format: read_theirs is not given")
        tensors = self._tensors()
        ts.save_checkpoint(tensors, tmp_path / f"x{format.suffixes[0]}")
        read = self.read_theirs(tmp_path / f"x{format.suffixes[0]}")
        promise(set(read) == set(tensors), "they find every tensor", f"{sorted(set(read) ^ set(tensors))}")
        for name, array in tensors.items():
            same(np.asarray(read[name]), array, f"they read {name} as it was written")

    def _writable(self) -> Format:
        format = self._format()
        if format.create is None:
            pytest.skip("the format is only read")
        return format
