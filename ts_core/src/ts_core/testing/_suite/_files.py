"""Tests of files: foreign ones, checkpoints, and what ``ts.save`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.byte_sources import MappedFile
from ts_core.errors import UnsupportedDtypeError
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._cases import NetCase
from ts_core.testing._suite._promises import promise, same, suffix_of, unchanged

Array = np.ndarray[Any, np.dtype[Any]]


class FileTests(Suite):
    """What leaves the framework comes back."""

    @pytest.mark.parametrize("content", [b"", b"\0" * 64, b"plain text\n" * 20, b"PK\x03\x04 not really", b"\x80\x02."])
    def test_foreign_files(self, tmp_path: Path, content: bytes) -> None:
        """A file of another kind, whatever its name, is not taken for one of ours."""
        formats = self.hook("framework_info")().formats
        if not formats:
            self.need("file format")
        for format in formats:
            path = tmp_path / f"file{suffix_of(format)}"
            path.write_bytes(content)
            try:
                answer = format.sniff(MappedFile(path))
            except ts.errors.CheckpointError:
                continue  # it looked like one of ours, and was found damaged: as good an answer
            promise(answer is False, "sniff answers False to a foreign file", f"{content[:12]!r}")

    def test_save(self, tmp_path: Path, dtype: str) -> None:
        """`ts.save` writes a tensor, also inside lists and dicts, and the name says its dtype."""
        array = self.numbers(dtype)
        ts.save(tmp_path / "x", [self.tensor(array), {"key": self.tensor(array[0])}])
        files = sorted(tmp_path.iterdir())
        names = [path.name.rpartition("_")[0] for path in files]
        promise(names == [f"x.0_{dtype}", f"x.1.key_{dtype}"], "ts.save names the dtype of a tensor", f"{names}")
        for path, expected in zip(files, (array, array[0]), strict=True):
            saved = np.load(path)
            same(saved, expected.astype(saved.dtype), "ts.save writes the numbers of a tensor")

    def test_save_grad(self, tmp_path: Path) -> None:
        """`ts.save_grad` writes the gradient of a tensor when the backward pass reaches it."""
        self.need("on_gradient", "on_gradient")
        array = self.numbers("float32", (2, 3)) + 1
        returned = self.backward_through(lambda tensor: ts.save_grad(tmp_path / "x", tensor), array)
        files = list(tmp_path.iterdir())
        promise(len(files) == 1, "ts.save_grad writes one file", f"{files}")
        same(np.load(files[0]), 2 * array, "ts.save_grad writes the gradient")
        same(np.asarray(returned), 2 * array, "ts.save_grad leaves the gradient as it is")

    def test_checkpoint(self, tmp_path: Path, net_case: NetCase, format: str) -> None:
        """A network comes back bit for bit from every format that can hold it; another one is refused beforehand."""
        net, _ = self.filled(net_case.make())
        before = self.values(net)
        path = tmp_path / "net"
        try:
            ts.save_checkpoint(net, path, format=format)
        except UnsupportedDtypeError as problem:
            promise(not path.exists(), "what a format cannot hold is refused before anything is written", str(problem))
            return
        with ts.open_checkpoint(path) as checkpoint:
            text = f"a checkpoint in {format} holds the network's own names, in order"
            promise(list(checkpoint) == list(before), text, f"{list(checkpoint)} instead of {list(before)}")
            fresh = self.load(net_case.make(), checkpoint)
        unchanged(self.values(fresh), before, f"a network comes back from {format} bit for bit")
