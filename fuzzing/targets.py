"""What is fuzzed: each reader, good files to begin with, and what one may do with a changed one."""

from __future__ import annotations

import io
import pickle
import reprlib
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import ts_core as ts
from fuzzing import changes
from fuzzing.changes import Change
from ts_core.text import Lines, safe

ARRAYS = {
    "fc.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "fc.bias": np.arange(3, dtype=np.int64),
    "scale": np.array(0.5, np.float16),
    "none": np.ones((0, 2), np.uint8),
}
_ROOM = 64 << 20  # bytes of tensors that a small file may have: strides of 0 repeat an element


class BrokenPromiseError(AssertionError):
    """A reader did something else than to read well or to raise an error of ours."""


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        name: of the target.
        file: what its files are called; some readers look at it.
        seeds: makes the good files.
        changes: the ways to change one.
        use: what is done with a file; raises BrokenPromiseError.
    """

    name: str
    file: str
    seeds: Callable[[], list[bytes]]
    changes: tuple[Change, ...] = (changes.raw,)
    use: Callable[[Path, int], None] = field(default=lambda path, number: use_checkpoint(path, number))


def use_checkpoint(path: Path, number: int) -> None:
    """Open a file in one of several ways, and read all that is in it."""
    ways: list[dict[str, Any]] = [{}, {}, {"verify": True}, {"key": "model"}, {"strip_prefix": "fc."}]
    size = path.stat().st_size
    with _only_our_errors(path), ts.open_checkpoint(path, **ways[number % len(ways)]) as checkpoint:
        repr(checkpoint)
        total = 0
        for name, info in checkpoint.index.items():
            array = np.array(checkpoint[name])
            if (array.shape, array.dtype) != (info.shape, info.dtype):
                raise BrokenPromiseError(f"{name}: {info} was announced, {array.dtype} {array.shape} came")
            total += array.nbytes
        if total > max(1100 * size, _ROOM):
            raise BrokenPromiseError(f"{total} bytes of tensors in a file of {size}")
        for key, value in checkpoint.metadata.items():
            if not isinstance(key, str):
                raise BrokenPromiseError(f"metadata has the key {key!r}")
            reprlib.repr(value)
        if number % 50 == 0:
            with _only_our_errors(None):
                ts.compare(checkpoint, ARRAYS, workers=1)


def use_map(path: Path, number: int) -> None:
    """Load a weight map, show it, turn it round, and apply it."""
    with _only_our_errors(path):
        found = ts.WeightMap.load(path)
        with _only_our_errors(None):
            str(found)
            found.inverse()
            for array in found.apply(ts.open_checkpoint(path.with_name("source.npz"))).values():
                np.array(array)


class _only_our_errors:  # noqa: N801 - it reads as a word
    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> bool:
        if not isinstance(problem, ts.errors.TsError):
            return False
        words = str(problem)
        if self._path is not None and self._path.name not in words and self._path.parent.name not in words:
            raise BrokenPromiseError(f"the error does not name the file: {words}") from problem
        cause = problem.__cause__  # which Python shows when nobody catches the error
        if cause is not None and not isinstance(cause, ts.errors.TsError) and safe(cause) != _cut_off(str(cause)):
            raise BrokenPromiseError(f"the cause is not safe to show: {str(cause)!r:.300}") from problem
        if len(words) > 100_000 or (safe(words) != words and not isinstance(problem.args[0], Lines)):
            raise BrokenPromiseError(f"the error is not safe to show: {words!r:.300}") from problem
        return True


def _cut_off(words: str) -> str:
    """The words, as if they were safe: without what is only too long."""
    return words if len(words) <= 512 else safe(words)


# ---------------------------------------------------------------------------------------------------------------------
# Good files


def _saved(suffix: str, **options: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        ts.save_checkpoint(ARRAYS, path, **options)
        return path.read_bytes()


def _torch(**options: Any) -> Iterator[bytes]:
    """What torch itself writes, if it is installed: states of all kinds, whole networks, odd tensors."""
    try:
        import torch
    except ImportError:
        return
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 1))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 1, 3, 3)).sum().backward()
    optimizer.step()
    state, w = net.state_dict(), torch.arange(6.0).reshape(2, 3)
    kinds = {"t": w.T, "e": w[:1].expand(4, 3), "b": w.bfloat16(), "c": torch.complex(w, w).conj()}
    for content in (
        state,
        {"epoch": 3, "model": state, "optimizer": optimizer.state_dict(), "args": {"lr": 0.1, "names": ["a", "b"]}},
        net,
        {
            **kinds,
            "p": torch.nn.Parameter(w),
            "n": np.ones(3),
            "s": torch.Size([1, 2]),
            "d": torch.float16,
            3: w,
            "list": [w, (w, {"x": w})],
        },
        w,
    ):
        out = io.BytesIO()
        with suppress(Exception):  # an older torch may not have one of these
            torch.save(content, out, **options)
            yield out.getvalue()


def torch_zips() -> list[bytes]:
    """Zip archives of torch."""
    return [_saved(".pth"), *_torch()]


def torch_streams() -> list[bytes]:
    """Streams of pickles, which torch wrote before its archives."""
    return [stream_of_pickles(), *_torch(_use_new_zipfile_serialization=False)]


def stream_of_pickles() -> bytes:
    """What ``torch.serialization._legacy_save`` writes, without torch."""
    arrays = [array for array in ARRAYS.values() if array.dtype.char in "flqe"]
    classes = {"f": b"Float", "l": b"Long", "q": b"Long", "e": b"Half"}
    content = b"\x80\x02}("
    for key, array in enumerate(arrays):
        steps = tuple(step // array.itemsize for step in array.strides)
        content += _unicode(f"t{key}") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + _unicode("storage")
        content += b"ctorch\n" + classes[array.dtype.char] + b"Storage\n" + _unicode(str(key)) + _unicode("cpu")
        content += b"K" + bytes([array.size]) + b"NtQK\0"
        for numbers in (array.shape, steps):
            content += b"(" + b"".join(b"K" + bytes([number]) for number in numbers) + b"t"
        content += b"\x89)tR"
    content += b"u."
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in arrays)
    return b"".join(head) + content + pickle.dumps([str(key) for key in range(len(arrays))], 2) + tail


def torch_tars() -> list[bytes]:
    """Tar archives, which torch wrote before that."""
    array = ARRAYS["fc.weight"]
    storages = pickle.dumps(1, 2) + b"\x80\x02K\0" + _unicode("cpu") + b"ctorch\nFloatStorage\n\x87."
    storages += struct.pack("<q", array.size) + array.tobytes() + pickle.dumps([], 2)
    tensors = (
        pickle.dumps(1, 2) + b"\x80\x02K\x0aK\0ctorch\nFloatTensor\n\x87." + struct.pack("<i4x5q", 2, 3, 4, 4, 1, 0)
    )
    content = b"\x80\x02}(" + _unicode("w") + _unicode("10") + b"Qu."
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("storages", storages), ("tensors", tensors), ("pickle", content)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return [out.getvalue()]


def _unicode(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def mindspore_files() -> list[bytes]:
    """Checkpoints of MindSpore."""
    return [_saved(".ckpt"), _saved(".ckpt", metadata={"epoch": 3, "note": "a"})]


def safetensors_files() -> list[bytes]:
    """Files of safetensors."""
    return [_saved(".safetensors", metadata={"a": "b"})]


def npz_files() -> list[bytes]:
    """Archives of arrays, stored and packed."""
    out = io.BytesIO()
    np.savez_compressed(out, **ARRAYS)
    return [_saved(".npz"), out.getvalue()]


def _npy() -> list[bytes]:
    files = []
    for array in (ARRAYS["fc.weight"], np.asfortranarray(ARRAYS["fc.weight"]), ARRAYS["scale"]):
        out = io.BytesIO()
        np.save(out, array)
        files.append(out.getvalue())
    return files


_INDEX = b"""{"metadata": {"total_size": 8}, "weight_map": {"a": "shard.safetensors", "b": "shard.safetensors"}}"""
_MAPS = [
    b"""[{"fc.weight": "x", "fc.bias": ["y", "z"], "scale": null, "none": "n"},
    {"fc.weight": {"transform": "chain", "steps": [{"transform": "transpose", "axes": [1, 0]},
    {"transform": "insert_axis", "axis": 2}]}, "fc.bias": {"transform": "split", "axis": 0, "sizes": [1, 2]}}]""",
    b"""[{"fc.weight": "x", "fc.bias": "x"}, {"fc.weight": {"transform": "concatenate", "axis": 0, "sizes": [3, 3],
    "sources": ["fc.weight", "fc.bias"]}, "fc.bias": {"transform": "concatenate", "axis": 0, "sizes": [3, 3],
    "sources": ["fc.weight", "fc.bias"]}}]""",
    b"""[{"fc.weight": "x"}, {"fc.weight": {"transform": "each", "step": {"transform": "chain", "steps": [
    {"transform": "reshape", "before": [3, 4], "after": [4, 3]}, {"transform": "reorder_blocks", "axis": 0,
    "order": [1, 0]}, {"transform": "remove_axis", "axis": 1}]}}}]""",
]

TARGETS = {
    target.name: target
    for target in (
        Target("torch_zip", "x.pth", torch_zips, (changes.zipped({"data.pkl": changes.pickled}), changes.raw)),
        Target("torch_stream", "x.pth", torch_streams, (changes.later_pickle, changes.pickled, changes.raw)),
        Target("torch_tar", "x.pth", torch_tars, (changes.tarred(changes.pickled), changes.raw)),
        Target("mindspore", "x.ckpt", mindspore_files, (changes.protobuf, changes.raw)),
        Target("safetensors", "x.safetensors", safetensors_files, (changes.safetensors, changes.raw)),
        Target("npz", "x.npz", npz_files, (changes.zipped({".npy": changes.npy}), changes.raw)),
        Target("npy", "x.npy", _npy, (changes.npy, changes.raw)),
        Target("index", "x.safetensors.index.json", lambda: [_INDEX], (changes.json_text, changes.raw)),
        Target("weight_map", "m.json", lambda: _MAPS, (changes.json_text, changes.raw), use_map),
    )
}


def prepare(folder: Path) -> None:
    """What the files of some targets lead to."""
    ts.save_checkpoint(ARRAYS, folder / "source.npz")
    ts.save_checkpoint({"a": np.ones(1, np.float32), "b": np.ones(1, np.float32)}, folder / "shard.safetensors")
