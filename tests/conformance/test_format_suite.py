"""The suite of file formats catches what is wrong with one: the formats of the page, each with a fault."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import ts_core
from ts_core.contract.files import reading
from ts_core.testing import FormatSuite

ROOT = Path(__file__).parents[2]
METADATA = "Metadata-Version: 2.1\nName: ts-shelf\nVersion: 0.1\n"
BUGS = {
    "runs what the file says": (
        "load(PickleBytes(source.read(0, len(source))))",
        "__import__('pickle').loads(source.read(0, len(source)))",
        "nothing that a file names is called",
    ),
    "writable arrays": ("        array.flags.writeable = False\n", "", "an array of a file cannot be written into"),
    "dropped is not declared": (
        "self.dropped = tuple(name for name in index.metadata if name not in attributes)",
        "self.dropped = ()",
        "`dropped` names what the format cannot hold",
    ),
    "metadata as something else": (
        "{name: value for name, value in index.metadata.items() if isinstance(value, str | int)}",
        "{name: str(value) for name, value in index.metadata.items()}",
        "dropped",
    ),
    "wrong shapes": ("TensorInfo(name, shape, dtype", "TensorInfo(name, shape[::-1], dtype", "survives, bit for bit"),
    "wrong dtypes": (
        "TensorInfo(name, array.shape, array.dtype",
        "TensorInfo(name, array.shape, array.dtype.newbyteorder()",
        "the index tells what is read",
    ),
    "another order": (
        "CheckpointIndex(infos, dict",
        "CheckpointIndex(dict(sorted(infos.items())), dict",
        "in the order in which they were written",
    ),
    "known by its name": (
        "return bytes(source.read(0, 8)) == MAGIC",
        "return source.path.suffix == '.shelf'",
        "broken promise",
    ),
    "every pickle": (
        "    return head[:1] ==",
        "    return True or head[:1] ==",
        "sniff answers False to a foreign file",
    ),
    "a key is ignored": (
        "next(iter(found)) if options.key is None else options.key",
        "next(iter(found))",
        "a key that leads nowhere is an ArgumentError",
    ),
    "any dtype is written": (
        '        require_dtypes("shelf", index, DTYPES)  # before the file exists\n',
        "",
        "is an UnsupportedDtypeError of the writer",
    ),
    "a transposed array is written as it lies": (
        "raw_bytes(array[start:stop] if array.ndim else array)",
        "raw_bytes(array[start:stop].T if array.ndim else array)",
        "survives, bit for bit",
    ),
}


@pytest.fixture(scope="module")
def pages_files():
    text = (ROOT / "docs" / "writing-a-format.md").read_text("utf-8")
    return dict(re.findall(r"^```python\n# ts_shelf/(\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def run(folder, files):
    for name, code in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    installed = folder / "src" / "ts_shelf-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(METADATA)
    (installed / "entry_points.txt").write_text("[ts_core]\nshelf = ts_shelf\n")
    paths = [folder / "src", Path(ts_core.__file__).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "tests"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_the_formats_of_the_page_pass(pages_files, tmp_path):
    assert "failed" not in run(tmp_path, pages_files)


@pytest.mark.parametrize("bug", BUGS)
def test_a_fault_is_caught(pages_files, tmp_path, bug):
    right, wrong, told = BUGS[bug]
    assert sum(right in code for code in pages_files.values()) == 1
    output = run(tmp_path, {name: code.replace(right, wrong) for name, code in pages_files.items()})
    assert " failed" in output
    assert told in output
    assert "During handling of the above exception" not in output


def test_only_a_format_that_says_so_may_have_tensors_in_another_order():
    class Ordered(FormatSuite):
        pass

    class Unordered(FormatSuite):
        ordered = False

    Unordered()._holds(["b", "a"], ["a", "b"], "the index")
    for suite, found, told in (
        (Ordered, ["b", "a"], "says ordered = False"),
        (Unordered, ["a"], r"of one side only: \['b'\]"),
        (Unordered, ["a", "b", "b"], "instead of"),
    ):
        with pytest.raises(pytest.fail.Exception, match=told):
            suite()._holds(found, ["a", "b"], "the index")


def test_a_library_that_parses_a_file_may_raise_what_it_likes(tmp_path):
    for problem in (OSError("truncated"), RuntimeError("address overflow"), ValueError("x"), struct.error("y")):
        with pytest.raises(ts_core.errors.CheckpointError, match=f"net.h5.*{problem}"), reading(tmp_path / "net.h5"):
            raise problem
