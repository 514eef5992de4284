from collections.abc import Callable
from pathlib import Path

import pytest

Numbered = Callable[[Path], list[str]]


@pytest.fixture(scope="session")
def saved() -> Numbered:
    """The names of the .npy files of a folder without their numbers, in the order of the numbers."""

    def names(folder: Path) -> list[str]:
        numbered = sorted((int(path.stem.rpartition("_")[2]), path.stem.rpartition("_")[0]) for path in _files(folder))
        return [name for _, name in numbered]

    return names


@pytest.fixture(scope="session")
def saved_files() -> Callable[[Path], list[Path]]:
    """The .npy files of a folder in the order of their numbers."""
    return lambda folder: sorted(_files(folder), key=lambda path: int(path.stem.rpartition("_")[2]))


def _files(folder: Path) -> list[Path]:
    files = list(folder.iterdir())
    assert all(path.suffix == ".npy" for path in files), files  # no temporary file stays
    return files
