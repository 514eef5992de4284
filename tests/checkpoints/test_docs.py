"""docs/formats.md and docs/security.md: the code runs, the table of dtypes is true, every test named is there."""

import re
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.dtypes import dtype_of

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

DOCS = Path(__file__).parents[2] / "docs"
EIGHT_BITS = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
BASE = {"bool", *INTEGERS, "float16", "float32", "float64", "bfloat16"}
PROMISED = {
    ".ckpt": BASE,
    ".pth": {*BASE, "complex64", "complex128", *EIGHT_BITS},
    ".safetensors": {*BASE, "complex64", *EIGHT_BITS},
    ".npz": {*BASE, "complex64", "complex128"} - {"bfloat16"},
}


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "formats.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, "formats.md", "exec"), {})
    assert (tmp_path / "net.ckpt").exists()


@pytest.mark.parametrize("suffix", PROMISED)
def test_the_table_of_dtypes(suffix, tmp_path):
    held = set()
    for name in {*BASE, "complex64", "complex128", *EIGHT_BITS}:
        try:
            ts.save_checkpoint({"a": np.zeros(2, dtype_of(name))}, tmp_path / f"x{suffix}")
        except ts.errors.UnsupportedDtypeError:
            continue
        held.add(name)
    assert held == PROMISED[suffix]


def test_every_promise_names_a_test_that_exists():
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 20
    for file, test in named:
        (place,) = Path(__file__).parents[1].rglob(file)
        assert f"def {test}(" in place.read_text(encoding="utf-8"), test
