"""The house is as docs/design.md draws it: rooms, arrows that go down only, private modules."""

import ast
import inspect
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ts_core as ts

ROOT = Path(__file__).parents[2]
CORE = ROOT / "ts_core" / "src" / "ts_core"
PLUGINS = {
    "ts_torch": ROOT / "ts_torch" / "src" / "ts_torch",
    "ts_mindspore": ROOT / "ts_mindspore" / "src" / "ts_mindspore",
    "ts_jax": ROOT / "examples" / "ts_jax" / "src" / "ts_jax",
}
PAGE = (ROOT / "docs" / "design.md").read_text("utf-8")
ROOMS = re.findall(r"^ [├└]─ (\w+) ", PAGE, re.MULTILINE)  # from top to bottom
FOUNDATIONS = ["commit", "errors", "log", "text", "threads", "_lazily"]  # below every room
HEIGHT = {name: height for height, name in enumerate(reversed([*ROOMS, *FOUNDATIONS]))}


def module_name(file: Path, root: Path) -> str:
    parts = [root.name, *file.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module of ts_core that a file names in an import, wherever the import stands, and its line."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [
                name if (CORE.parent / name.replace(".", "/")).with_suffix(".py").exists() else "" for name in inner
            ]
            found = [name or str(node.module) for name in found]
        else:
            continue
        yield from ((name, node.lineno) for name in found if name.partition(".")[0] == "ts_core")


def is_module(name: str) -> bool:
    return (CORE.parent / name.replace(".", "/")).with_suffix(".py").exists()


def room_of(module: str) -> str:
    """The room, or the module at the bottom of the house; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


FILES = {module_name(file, CORE): file for file in CORE.rglob("*.py")}


def test_every_folder_is_a_room_of_the_page_and_every_room_a_folder():
    folders = {path.name for path in CORE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ROOMS)


def test_every_room_says_what_lives_there():
    for room in ROOMS:
        docstring = ast.get_docstring(ast.parse((CORE / room / "__init__.py").read_text("utf-8")))
        assert docstring, room
        assert len(docstring) > 40, room


def test_no_folder_is_called_like_a_public_function():
    functions = {name for name in ts.__all__ if callable(getattr(ts, name)) and not inspect.isclass(getattr(ts, name))}
    assert not functions & set(ROOMS)


@pytest.mark.parametrize("module", sorted(FILES))
def test_arrows_go_down_only(module):
    here = room_of(module)
    if not here or module == "ts_core.__main__":
        return  # the package itself is above all rooms
    for name, line in imports(FILES[module]):
        there = room_of(name)
        if there == "":
            # The version, and where the package lies: what the package's own file defines before any room is entered.
            assert here in ("cli", "work", "testing"), f"{module}:{line} imports the package itself"
            continue
        assert there == here or HEIGHT[there] < HEIGHT[here], f"{module}:{line} imports {name}, which is above it"


@pytest.mark.parametrize("module", sorted(FILES))
def test_no_room_enters_another_ones_private_modules(module):
    for name, line in imports(FILES[module]):
        room, _, rest = name.removeprefix("ts_core.").partition(".")
        private = rest.startswith("_") or "._" in rest
        assert not private or room == room_of(module), f"{module}:{line} imports {name}"


def test_no_circles():
    graph = {
        module: {name for name, _ in imports(file) if name in FILES and name != module}
        for module, file in FILES.items()
    }
    graph = {module: names - {module.rpartition(".")[0]} for module, names in graph.items() if room_of(module)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as problem:
        pytest.fail(f"a circle of imports: {' → '.join(problem.args[1])}")


def test_the_plugins_keep_the_same_shape():
    shapes = [
        {path.name for path in PLUGINS[name].iterdir() if not path.name.startswith("_") and path.suffix in ("", ".py")}
        for name in ("ts_torch", "ts_mindspore")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("folder", [CORE, *PLUGINS.values()], ids=lambda folder: folder.name)
def test_no_file_is_longer_than_a_person_reads_in_one_go(folder):
    lengths = {file.name: len(file.read_text("utf-8").splitlines()) for file in folder.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
