"""The user guide's names for converting and comparing: thin forms of the verbs of :mod:`ts_core`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ts_core.checkpoints import LazyTensors, save_checkpoint
from ts_core.conversion import ConversionReport, mapped_rows
from ts_core.errors import ArgumentError, ArgumentTypeError, NoParametersError, NoPluginError, WeightMapError
from ts_core.mapping.verbs import weight_map as make_weight_map
from ts_core.mapping.weight_map import WeightMap
from ts_core.parameters import load_parameters, parameters
from ts_core.plugins import framework_of
from ts_core.sources import open_source

StrPath = str | os.PathLike[str]
NameMap = dict[str, Any]
ValueMap = dict[str, Any]
GivenMap = tuple[Mapping[str, Any], Mapping[str, Any]] | WeightMap


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


def convert_weight(
    weight_map_path: StrPath | None = None,
    pt_file_path: StrPath | None = None,
    ms_file_save_path: StrPath | None = None,
    *,
    pt_param_dict: Mapping[str, Any] | None = None,
    pth_para_dict: Mapping[str, Any] | None = None,
    weight_map: GivenMap | None = None,
    print_conv_info: bool = True,
    print_save_path: bool = True,
) -> ConversionReport:
    """Convert a torch file to a MindSpore checkpoint, under the names and layouts of a weight map.

    Args:
        weight_map_path: the JSON that :func:`get_weight_map` wrote.
        pt_file_path: a file saved from a state dict or from a whole module.
        ms_file_save_path: where to write the checkpoint; it appears whole or not at all. Its folder must exist.
        pt_param_dict: an already loaded dict of tensors, instead of the file.
        pth_para_dict: another name of `pt_param_dict`.
        weight_map: the pair that :func:`get_weight_map` returned, instead of its path.
        print_conv_info: print a table, one row a parameter in file order.
        print_save_path: log where the checkpoint was saved.

    Returns:
        What became of every parameter; printed, it is the table.

    Raises:
        ArgumentError: neither the path nor the value of a pair was given, or the folder does not exist.
        WeightMapError: the map and the file do not hold the same names; the message lists them.
        NoParametersError: the file holds no parameters.
        CheckpointError: the file cannot be read, or the result not written.
    """
    if ms_file_save_path is None:
        raise ArgumentError("ms_file_save_path must be given")
    _require_folder_of(ms_file_save_path, "ms_file_save_path")
    given = pth_para_dict if pt_param_dict is None else pt_param_dict
    with _converted(weight_map_path, weight_map, pt_file_path, given) as (tensors, report):
        save_checkpoint(tensors, ms_file_save_path, format="mindspore")
    if print_conv_info:
        print(report)
    if print_save_path:
        from ts_core.log import user_logger

        user_logger().warning("[*User Attention*] The conversion is done. The saved path is: %s", ms_file_save_path)
    return report


def convert_weight_and_load(weight_map_path: StrPath, pt_file_path: StrPath, net: object) -> ConversionReport:
    """Convert a torch file and load the result into a network; no file is written.

    Args:
        weight_map_path: the JSON that :func:`get_weight_map` wrote.
        pt_file_path: a file saved from a state dict or from a whole module.
        net: the network to load into. What it cannot have (``num_batches_tracked``) is left out.

    Returns:
        What became of every parameter.

    Raises:
        LoadError: the converted tensors and the network do not fit; the network is unchanged.
        ArgumentTypeError: `net` is not a network.
        WeightMapError: the map and the file do not hold the same names; the message lists them.
        CheckpointError: the file cannot be read.
    """
    places = {parameter.name for parameter in parameters(net)}
    with _converted(weight_map_path, None, pt_file_path, None) as (tensors, report):
        wanted = {name: tensors[name] for name in tensors if name in places or not name.endswith("num_batches_tracked")}
        load_parameters(net, wanted)
    return report


def save_net_and_weight_params(
    net: object, path: StrPath | None = None, weight_params_filename: str | None = None
) -> None:
    """Write down a network: its weights, its architecture as text, and for torch its weight map to MindSpore.

    Args:
        net: a torch or a MindSpore network.
        path: the folder, created if needed; by default the current one.
        weight_params_filename: the name of the weight file; by default ``torch_troubleshooter_create.pth`` or
            ``mindspore_troubleshooter_create.ckpt``. Beside it come ``<framework>_net_architecture.txt`` and, for
            torch, ``torch_net_map.json``.

    Raises:
        ArgumentError: `net` is not a network of either framework.
    """
    framework = framework_of(net)
    if framework not in _WEIGHT_FILES:
        raise ArgumentError(f"net must be a torch or a MindSpore network, not {type(net).__name__}")
    try:
        tensors = open_source(net)
    except ArgumentTypeError as problem:
        raise ArgumentError(f"net: {problem}") from problem
    folder = Path.cwd() if path is None else Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / (weight_params_filename or _WEIGHT_FILES[framework])
    save_checkpoint(tensors, weights, format=framework)
    (folder / f"{framework}_net_architecture.txt").write_text(f"{net}\n", encoding="utf-8")
    if framework == "torch":
        get_weight_map(net, folder / "torch_net_map.json")


_WEIGHT_FILES = {"torch": "torch_troubleshooter_create.pth", "mindspore": "mindspore_troubleshooter_create.ckpt"}


@contextmanager
def _converted(
    map_path: StrPath | None, map_pair: GivenMap | None, file_path: StrPath | None, tensors: Mapping[str, Any] | None
) -> Iterator[tuple[LazyTensors, ConversionReport]]:
    """A torch file, or dict, seen through a weight map that holds exactly its names."""
    found = _given_map(map_path, map_pair)
    if file_path is None and tensors is None:
        raise ArgumentError("one of pt_file_path and pt_param_dict must be given")
    try:
        source = open_source(file_path if tensors is None else tensors)
    except (NoParametersError, NoPluginError) as problem:  # the latter: a dict that holds more than tensors
        raise NoParametersError(f"PTH file parsing failed, possible reasons: {problem}") from problem
    with source:
        _require_same_names(found, source)
        target = found.apply(source)
        rows = mapped_rows(source.index, target, found.entries)
        yield target, ConversionReport(rows, source_framework="torch", target_framework="mindspore")


def _require_same_names(found: WeightMap, source: LazyTensors) -> None:
    mapped, _ = found.to_pair()
    problems = []
    if lacking := [name for name in mapped if name not in source]:
        problems.append(f"the map has and the file lacks: {', '.join(lacking)}")
    if strange := [name for name in source if name not in mapped]:
        problems.append(f"the file has and the map lacks: {', '.join(strange)}")
    if problems:
        raise WeightMapError(f"the weight map is not of this file; {'; '.join(problems)}")


def _called(custom_name_func: Callable[[NameMap], Mapping[str, str]], name_map: NameMap) -> Mapping[str, str]:
    names = custom_name_func(name_map)
    if not isinstance(names, Mapping):
        raise ArgumentTypeError(f"custom_name_func must return a dict of names, not {type(names).__name__}")
    return names


def _require_folder_of(path: StrPath, parameter: str) -> None:
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise ArgumentError(f"{parameter}: there is no folder {folder}")


def _given_map(path: StrPath | None, pair: GivenMap | None) -> WeightMap:
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
