"""The user guide's names for converting and comparing: thin forms of the verbs of :mod:`ts_core`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ts_core.errors import ArgumentError, ArgumentTypeError, WeightMapError
from ts_core.mapping.verbs import weight_map as make_weight_map
from ts_core.mapping.weight_map import WeightMap

StrPath = str | os.PathLike[str]
NameMap = dict[str, Any]
ValueMap = dict[str, Any]


def get_weight_map(
    pt_net: object = None,
    weight_map_save_path: StrPath | None = None,
    weight_name_prefix: str | None = None,
    custom_name_func: Callable[[NameMap], Mapping[str, str]] | None = None,
    print_map: bool = False,
    *,
    target: object = None,
    framework: str = "mindspore",
    pt_model: object = None,
) -> tuple[NameMap, ValueMap]:
    """The names and layouts that the parameters of a network have in another framework.

    Args:
        pt_net: the source network.
        weight_map_save_path: where to write the map as JSON ``[name_map, value_map]``; its folder must exist.
        weight_name_prefix: put before every target name, with a dot between.
        custom_name_func: gets the finished ``name_map`` and returns the one to use.
        print_map: print both dicts.
        target: what the map is matched to: a network, a checkpoint, or names and shapes. Without it the names are
            translated by the layer rules of `framework`.
        framework: the framework to translate to.
        pt_model: the deprecated name of `pt_net`.

    Returns:
        ``name_map``, source name → target name for every entry of the source's state dict, in its order; and
        ``value_map``, source name → transform for the entries whose layout changes.

    Raises:
        ArgumentTypeError: `pt_net` is not a network, or `custom_name_func` not callable.
        ArgumentError: the folder of `weight_map_save_path` does not exist.
        WeightMapError: `custom_name_func` dropped names, added some, or made two equal.
    """
    if pt_model is not None:
        warnings.warn("pt_model is deprecated: use pt_net", DeprecationWarning, stacklevel=2)
        pt_net = pt_model if pt_net is None else pt_net
    if custom_name_func is not None and not callable(custom_name_func):
        raise ArgumentTypeError(f"custom_name_func must be callable, not {type(custom_name_func).__name__}")
    if weight_map_save_path is not None:
        _require_folder_of(weight_map_save_path, "weight_map_save_path")
    try:
        found = make_weight_map(pt_net, framework if target is None else target, prefix=weight_name_prefix)
    except ArgumentTypeError as problem:
        raise ArgumentTypeError(f"pt_net: {problem}") from problem
    if custom_name_func is not None:
        found = found.with_names(_called(custom_name_func, found.to_pair()[0]))
    if weight_map_save_path is not None:
        found.save(weight_map_save_path)
    name_map, value_map = found.to_pair()
    if print_map:
        from pprint import pprint

        pprint(name_map, sort_dicts=False)
        pprint(value_map, sort_dicts=False)
    return name_map, value_map


def _called(custom_name_func: Callable[[NameMap], Mapping[str, str]], name_map: NameMap) -> Mapping[str, str]:
    names = custom_name_func(name_map)
    if not isinstance(names, Mapping):
        raise ArgumentTypeError(f"custom_name_func must return a dict of names, not {type(names).__name__}")
    return names


def _require_folder_of(path: StrPath, parameter: str) -> None:
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise ArgumentError(f"{parameter}: there is no folder {folder}")


def _given_map(path: StrPath | None, pair: tuple[Mapping[str, Any], Mapping[str, Any]] | WeightMap | None) -> WeightMap:
    """The map of a call that takes it as a file (``weight_map_path``) or as a value (``weight_map``)."""
    if path is None and pair is None:
        raise ArgumentError("one of weight_map_path and weight_map must be given")
    if pair is None:
        assert path is not None
        return WeightMap.load(path)
    if isinstance(pair, WeightMap):
        return pair
    try:
        name_map, value_map = pair
    except (TypeError, ValueError):
        raise WeightMapError("weight_map must be the pair (name_map, value_map) that get_weight_map returns") from None
    return WeightMap.from_pair(name_map, value_map)
