"""What a weight map is outside of memory: a pair of dicts, and the JSON file that holds the pair."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from ts_core.commit import write_text
from ts_core.contract.files import path_of, read_text, unique_keys
from ts_core.contract.transforms import InsertAxis, Transform, from_json
from ts_core.errors import CheckpointWriteError, TsError, WeightMapError, WeightMapNotFoundError
from ts_core.mapping._nouns import ERROR, HARMLESS, LEFT_OUT, MapEntry, Unmatched

Pair = tuple[dict[str, Any], dict[str, Any]]

# The one transform of the older tool, which its files name by the path of a Python function.
OLDER_TRANSFORMS = {"troubleshooter.migrator.mapping_relation.weight_adapter.trans_conv1d_weight_value": InsertAxis(2)}

_OPEN = ""  # what a map's file leads to where nobody has decided yet
_IS_OPEN = "the map leaves its place open: put a name there, or null to leave it out on purpose"
_brief = reprlib.repr  # of what may be large
_MAKE_ONE = "`ts map SOURCE -o FILE` and WeightMap.save write one"


def to_pair(entries: Iterable[MapEntry], unmatched: Iterable[Unmatched], order: Iterable[str]) -> Pair:
    """The pair of a map's entries and of what its source has beyond them, in this order of the source's names."""
    targets: dict[str, Any] = {one.name: None if one.harmless else _OPEN for one in unmatched}
    values: dict[str, Any] = {}
    for entry in entries:
        for name in entry.source:
            targets[name] = entry.target[0] if len(entry.target) == 1 else list(entry.target)
            if entry.transform is not None:
                values[name] = entry.transform.to_json()
                if len(entry.source) > 1:
                    values[name]["sources"] = list(entry.source)
    names = [name for name in dict.fromkeys((*order, *targets)) if name in targets]
    return {name: targets[name] for name in names}, {name: values[name] for name in names if name in values}


def from_pair(name_map: Any, value_map: Any) -> tuple[list[MapEntry], list[Unmatched]]:
    """The entries that a pair describes, and what it leaves out of the source.

    Raises:
        WeightMapError: the two do not have the form that :func:`to_pair` gives.
    """
    if not isinstance(name_map, Mapping) or not isinstance(value_map, Mapping):
        raise WeightMapError("a weight map is a pair of dicts: names → names, and names → transforms")
    if wrong := [name for name in (*name_map, *value_map) if not isinstance(name, str)]:
        raise WeightMapError(f"the names in a weight map must be str, not {_brief(wrong[0])}")
    stray = [name for name in value_map if name not in name_map]
    if stray:
        raise WeightMapError(f"the weight map changes values of names that it does not map: {', '.join(stray)}")
    entries: dict[tuple[str, ...], MapEntry] = {}
    unmatched = []
    for name, target in name_map.items():
        if target is None:
            unmatched.append(Unmatched(name, (), LEFT_OUT, severity=HARMLESS))
        elif target == _OPEN:
            unmatched.append(Unmatched(name, (), _IS_OPEN, severity=ERROR))
        else:
            sources, transform = _read_value(name, value_map.get(name))
            entries.setdefault(sources, MapEntry(sources, _read_target(name, target), transform, how="file"))
    return list(entries.values()), unmatched


def _read_target(name: str, target: Any) -> tuple[str, ...]:
    names = (target,) if isinstance(target, str) else tuple(target) if isinstance(target, list | tuple) else ()
    if not names or not all(isinstance(part, str) and part for part in names):
        raise WeightMapError(f"{name!r} must lead to a name, a list of names or null, not to {_brief(target)}")
    return names


def _read_value(name: str, value: Any) -> tuple[tuple[str, ...], Transform | None]:
    """The source names and the transform of one entry of a value map."""
    if value is None:
        return (name,), None
    if isinstance(value, str):
        if value not in OLDER_TRANSFORMS:
            raise WeightMapError(f"{name!r} asks for the function {_brief(value)}, which no weight map may name")
        return (name,), OLDER_TRANSFORMS[value]
    if not isinstance(value, Mapping):
        raise WeightMapError(f"the transform of {name!r} must be an object with its name, not {_brief(value)}")
    arguments = dict(value)
    sources = arguments.pop("sources", [name])
    if not isinstance(sources, list) or not all(isinstance(part, str) for part in sources) or sources.count(name) != 1:
        raise WeightMapError(f"the transform of {name!r} must list names as its sources, its own once among them")
    try:
        return tuple(sources), from_json(arguments)
    except WeightMapError as problem:
        raise WeightMapError(f"{name!r}: {problem}") from problem


def write(path: str | os.PathLike[str], pair: Pair) -> None:
    """Write a pair as JSON, whole or not at all. Raises WeightMapError when the file cannot be written."""
    path = path_of(path)
    folder = path.absolute().parent
    if not os.path.isdir(folder):  # noqa: PTH112 - it does not fail
        raise WeightMapError(f"cannot write the weight map {path}: there is no folder {folder}")
    try:
        text = json.dumps(pair, indent=4, ensure_ascii=False)
        text.encode()
        write_text(path, text)
    except CheckpointWriteError as problem:
        reason = getattr(problem.__cause__, "strerror", None) or problem
        raise WeightMapError(f"cannot write the weight map {path}: {reason}") from problem
    except ValueError as problem:  # a null byte in the path, half of a character in a name
        raise WeightMapError(f"cannot write the weight map {path}: {problem}") from problem


def read(path: str | os.PathLike[str]) -> list[Any]:
    """The two parts of the pair in a JSON file.

    Raises:
        WeightMapNotFoundError: there is no such file.
        WeightMapError: the file cannot be read, is not JSON, or not of the form ``[name_map, value_map]``.
    """
    try:
        text = read_text(path_of(path))
    except FileNotFoundError as problem:
        raise WeightMapNotFoundError(f"there is no weight map {path}; {_MAKE_ONE}") from problem
    except UnicodeDecodeError as problem:
        raise WeightMapError(f"{path} cannot be read as a weight map: it is no text; {_MAKE_ONE}") from problem
    except TsError:
        raise
    except (OSError, ValueError) as problem:  # a folder, no permission, a null byte in the name
        reason = getattr(problem, "strerror", None) or problem
        raise WeightMapError(f"{path} cannot be read as a weight map: {reason}; {_MAKE_ONE}") from problem
    try:
        content = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as problem:
        raise WeightMapError(f"{path} is not a weight map: {problem}; {_MAKE_ONE}") from problem
    if not (isinstance(content, list) and len(content) == 2):
        raise WeightMapError(f"{path} is not a weight map: it must hold the list [name_map, value_map]; {_MAKE_ONE}")
    return content
