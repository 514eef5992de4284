"""A new metric takes three edits, those that CONTRIBUTING names: they are made to a copy of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ts_core as ts

EDITS = (
    # 1. what is accumulated
    ("_sums.py", "    # The worst element:", "    same_sign: int = 0\n"),
    # 2. how a block adds to it
    (
        "_metrics.py",
        "    sums.size += block.original.size\n",
        "    sums.same_sign += int(np.count_nonzero(np.sign(block.original) == np.sign(block.target)))\n",
    ),
    # 3. how it is shown
    (
        "_sums.py",
        "    @property\n    def allclose",
        '    same_sign: int = _metric(None, "same sign", "{} of {}".format, ("size",))\n\n',
    ),
)
SCRIPT = """
import numpy as np, ts_core as ts
original = np.arange(-300_000.0, 300_000, dtype="f4")
target = np.abs(original)
target[7] = np.nan
report = ts.compare({"w": original, "same": original[:3]}, {"w": target, "same": original[:3]}, progress=False)
assert "same sign" not in report.table()
print(report.to_json())
print(report.table(wide=True))
print(report.to_records()[0]["same_sign"], report.rows[0].metrics.same_sign, "same_sign" in report.to_csv())
"""


def test_a_metric_is_three_edits(tmp_path):
    shutil.copytree(Path(ts.__file__).parent, tmp_path / "ts_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, added in EDITS:
        file = tmp_path / "ts_core" / "comparison" / name
        text = file.read_text(encoding="utf-8")
        assert text.count(before) == 1
        file.write_text(text.replace(before, added + before), encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    run = [sys.executable, "-c", SCRIPT]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(run, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    report, end = json.JSONDecoder().raw_decode(done.stdout)
    keys = list(report["rows"][0])
    assert keys.index("same_sign") == keys.index("inf_target") + 1
    assert [row["same_sign"] for row in report["rows"]] == [300_000, 3]
    *table, last = done.stdout[end:].strip().splitlines()
    header = [cell.strip() for cell in table[1].split("|")]
    assert header[header.index("Inf") + 1] == "same sign"
    assert "300000 of 600000" in table[3]
    assert last == "300000 300000 True"
