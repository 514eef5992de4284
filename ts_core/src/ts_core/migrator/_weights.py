"""Weights from torch to MindSpore: the map, the file, the network; each is given by its path or as a value."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ts_core.commit import make_folder
from ts_core.contract.readers import LazyTensors
from ts_core.conversion import ConversionReport, bare, left_behind, mapped_rows, save_checkpoint, transfer
from ts_core.errors import ArgumentError, ArgumentTypeError, NoParametersError, NoPluginError, WeightMapError, warn
from ts_core.frameworks import framework_of
from ts_core.log import user_logger
from ts_core.mapping import WeightMap
from ts_core.mapping import weight_map as make_weight_map
from ts_core.reporting import require_folder, write_text
from ts_core.sources import NetworkTensors, open_source, require_one_model

StrPath = str | os.PathLike[str]
GivenMap = tuple[Mapping[str, Any], Mapping[str, Any]] | WeightMap
NameMap = dict[str, Any]

_WEIGHT_FILES = {"torch": "torch_troubleshooter_create.pth", "mindspore": "mindspore_troubleshooter_create.ckpt"}


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
) -> tuple[NameMap, dict[str, Any]]:
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
        ``name_map``, source name → target name for every entry of the source's state dict, in its order (None or
        ``""`` for what has no place in a `target`: see :meth:`ts_core.WeightMap.to_pair`); and ``value_map``, source
        name → transform for the entries whose layout changes.

    Raises:
        ArgumentTypeError: `pt_net` is not a network, or `custom_name_func` not callable.
        ArgumentError: the folder of `weight_map_save_path` does not exist.
        WeightMapError: `custom_name_func` dropped names, added some, or made two equal.
    """
    if pt_model is not None:
        warn(DeprecationWarning("pt_model is deprecated: use pt_net"))
        pt_net = pt_model if pt_net is None else pt_net
    if custom_name_func is not None and not callable(custom_name_func):
        raise ArgumentTypeError(f"custom_name_func must be callable, not {type(custom_name_func).__name__}")
    if weight_map_save_path is not None:
        require_folder(weight_map_save_path, "weight_map_save_path")
    try:
        source = NetworkTensors(pt_net)
    except ArgumentTypeError as problem:
        raise ArgumentTypeError(f"pt_net: {problem}") from problem
    found = make_weight_map(source, framework if target is None else target, prefix=weight_name_prefix)
    if custom_name_func is not None:
        names = custom_name_func(found.to_pair()[0])
        if not isinstance(names, Mapping):
            raise ArgumentTypeError(f"custom_name_func must return a dict of names, not {type(names).__name__}")
        found = found.with_names(names)
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
    require_folder(ms_file_save_path, "ms_file_save_path")
    given = pth_para_dict if pt_param_dict is None else pt_param_dict
    with converted(weight_map_path, weight_map, pt_file_path, given) as (tensors, report):
        save_checkpoint(bare(tensors), ms_file_save_path, format="mindspore")
    if print_conv_info:
        print(report)
    if print_save_path:
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
        ArgumentTypeError: `net` is not a network.
        WeightMapError: the map and the file do not hold the same names, or the converted tensors and the network do
            not fit; the message lists what, and the network is unchanged.
        CheckpointError: the file cannot be read.
    """
    found = given_map(weight_map_path, None)
    with torch_tensors(pt_file_path, None) as source:
        require_same_names(found, source)
        report = transfer(source, net, weight_map=found)
    return replace(report, source_framework="torch", target_framework="mindspore")


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
        CheckpointWriteError: the folder or a file cannot be written.
    """
    framework = framework_of(net)
    if framework not in _WEIGHT_FILES:
        raise ArgumentError(f"net must be a torch or a MindSpore network, not {type(net).__name__}")
    try:
        tensors = open_source(net)
    except ArgumentTypeError as problem:
        raise ArgumentError(f"net: {problem}") from problem
    folder = Path.cwd() if path is None else Path(path)
    make_folder(folder)
    weights = folder / (weight_params_filename or _WEIGHT_FILES[framework])
    save_checkpoint(tensors, weights, format=framework)
    write_text(folder / f"{framework}_net_architecture.txt", f"{net}\n")
    if framework == "torch":
        get_weight_map(net, folder / "torch_net_map.json")


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
        notes = tuple(left_behind(source, source.metadata))
        yield target, ConversionReport(rows, notes, source_framework="torch", target_framework="mindspore")


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
    if not all(name in mapped for name in source):
        require_one_model(source)
    problems = []
    if lacking := [name for name in mapped if name not in source]:
        problems.append(f"the map has and the file lacks: {', '.join(lacking)}")
    if strange := [name for name in source if name not in mapped]:
        problems.append(f"the file has and the map lacks: {', '.join(strange)}")
    if problems:
        raise WeightMapError(f"the weight map is not of this file; {'; '.join(problems)}")
