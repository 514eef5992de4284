import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "saving.md"


def test_the_code_of_the_page_runs_and_writes_what_it_says(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("mindspore")
    page = PAGE.read_text(encoding="utf-8")
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)))
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "GLOG_v": "3"}
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.startswith("_TS_SAVE_NAME:run/x_float32\n")
    told = re.findall(r"```text\n(.*?)```", page, re.DOTALL)[0].split()
    found = {str(path.relative_to(tmp_path)) for path in (tmp_path / "run").iterdir()}
    assert found == {*told, "run/hidden_backward_float32_3.npy"}
