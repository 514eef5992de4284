"""What the functions here are given: a weight map and a torch file, each by its path or as a value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ts_core.contract.readers import LazyTensors
from ts_core.conversion import ConversionReport, mapped_rows
from ts_core.errors import ArgumentError, NoParametersError, NoPluginError, WeightMapError
from ts_core.mapping import WeightMap
from ts_core.sources import open_source

StrPath = str | os.PathLike[str]
GivenMap = tuple[Mapping[str, Any], Mapping[str, Any]] | WeightMap


def given_map(path: StrPath | None, value: GivenMap | None) -> WeightMap:
    """The map of a call that takes it as a file (``weight_map_path``) or as a value (``weight_map``)."""
    if path is None and value is None:
        raise ArgumentError("one of weight_map_path and weight_map must be given")
    return WeightMap.of(path if value is None else value)


@contextmanager
def converted(
    map_path: StrPath | None, map_pair: GivenMap | None, file_path: StrPath | None, tensors: Mapping[str, Any] | None
) -> Iterator[tuple[LazyTensors, ConversionReport]]:
    """A torch file, or dict, seen through a weight map that holds exactly its names."""
    found = given_map(map_path, map_pair)
    with torch_tensors(file_path, tensors) as source:
        require_same_names(found, source)
        target = found.apply(source)
        rows = mapped_rows(source.index, target, found.entries)
        yield target, ConversionReport(rows, source_framework="torch", target_framework="mindspore")


def torch_tensors(file_path: StrPath | None, tensors: Mapping[str, Any] | None) -> LazyTensors:
    """A torch file, or a dict in its place."""
    if file_path is None and tensors is None:
        raise ArgumentError("one of pt_file_path and pt_param_dict must be given")
    try:
        return open_source(file_path if tensors is None else tensors)
    except (NoParametersError, NoPluginError) as problem:  # the latter: a dict that holds more than tensors
        raise NoParametersError(f"PTH file parsing failed, possible reasons: {problem}") from problem


def require_same_names(found: WeightMap, source: LazyTensors) -> None:
    """Raise WeightMapError, which lists the names, unless the map and the source hold the same ones."""
    mapped, _ = found.to_pair()
    problems = []
    if lacking := [name for name in mapped if name not in source]:
        problems.append(f"the map has and the file lacks: {', '.join(lacking)}")
    if strange := [name for name in source if name not in mapped]:
        problems.append(f"the file has and the map lacks: {', '.join(strange)}")
    if problems:
        raise WeightMapError(f"the weight map is not of this file; {'; '.join(problems)}")
