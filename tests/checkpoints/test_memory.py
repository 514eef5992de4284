"""Converting takes the memory of about one tensor, whatever the file holds: pages of mapped files count."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

TENSORS, NBYTES = 16, 32 << 20
# A process begins with the peak of the one that started it: a small one in between.
LAUNCHER = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"
LIMIT = 40 + 128  # MiB: the largest tensor, and what the interpreter takes with all modules


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Half a gigabyte of zeros, which take no room on the disk."""
    path = tmp_path_factory.mktemp("memory") / "x.safetensors"
    header = {
        f"w{n}": {"dtype": "F32", "shape": [2048, NBYTES // 8192], "data_offsets": [n * NBYTES, (n + 1) * NBYTES]}
        for n in range(TENSORS)
    }
    encoded = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.truncate(8 + len(encoded) + TENSORS * NBYTES)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize(
    "action",
    [
        "ts.convert(source, target.with_suffix('.ckpt'), progress=False)",
        "ts.convert(source, target.with_suffix('.pth'), progress=False)",
        "ts.convert(source, target.with_suffix('.pth'), progress=False, cast={'float32': 'float64'})",
        "ts.save_checkpoint(ts.open_checkpoint(source), target.with_suffix('.npz'))",
        "ts.save_checkpoint({n: a.T for n, a in ts.open_checkpoint(source).items()}, target.with_suffix('.ckpt'))",
    ],
)
def test_a_conversion_takes_the_memory_of_one_tensor(source, tmp_path, action):
    code = (
        "import pathlib, ts_core as ts\n"
        f"source, target = pathlib.Path({str(source)!r}), pathlib.Path({str(tmp_path / 'y')!r})\n"
        f"{action}\n"
        "lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(int(line.split()[1]) >> 10 for line in lines if line.startswith('VmHWM:')))\n"
    )
    run = subprocess.run([sys.executable, "-c", LAUNCHER, code], check=True, capture_output=True, text=True)
    assert int(run.stdout) < LIMIT + (64 if "float64" in action else 0)
