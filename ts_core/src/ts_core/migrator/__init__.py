"""The user guide's names for converting and comparing: thin forms of the verbs of :mod:`ts_core`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ts_core.comparison import (
    NamePair,
    Report,
    check_names,
    check_tolerances,
    compare_opened,
    label,
    pair_files_by_name,
    pair_files_by_number,
    pair_files_by_shape,
    saved_files,
    write_text,
)
from ts_core.contract.readers import LazyTensors
from ts_core.conversion import ConversionReport, mapped_rows, save_checkpoint, transfer
from ts_core.errors import ArgumentError, ArgumentTypeError, NoParametersError, NoPluginError, WeightMapError
from ts_core.frameworks import framework_of
from ts_core.mapping import WeightMap
from ts_core.mapping import weight_map as make_weight_map
from ts_core.sources import NetworkTensors, open_source

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ts_core.checkpoints import NpyFiles
    from ts_core.comparison import Tolerances

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
        ``name_map``, source name → target name for every entry of the source's state dict, in its order (None or
        ``""`` for what has no place in a `target`: see :meth:`ts_core.WeightMap.to_pair`); and ``value_map``, source
        name → transform for the entries whose layout changes.

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
        source = NetworkTensors(pt_net)
    except ArgumentTypeError as problem:
        raise ArgumentTypeError(f"pt_net: {problem}") from problem
    found = make_weight_map(source, framework if target is None else target, prefix=weight_name_prefix)
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
        ArgumentTypeError: `net` is not a network.
        WeightMapError: the map and the file do not hold the same names, or the converted tensors and the network do
            not fit; the message lists what, and the network is unchanged.
        CheckpointError: the file cannot be read.
    """
    found = _given_map(weight_map_path, None)
    with _torch_tensors(pt_file_path, None) as source:
        _require_same_names(found, source)
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


def compare_ms_ckpt(
    orig_file_path: StrPath | None = None,
    target_file_path: StrPath | None = None,
    *,
    compare_value: bool = True,
    print_level: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    weight_map_path: StrPath | None = None,
    weight_map: GivenMap | None = None,
    orig_ckpt_dict: Mapping[str, Any] | None = None,
    target_ckpt_dict: Mapping[str, Any] | None = None,
) -> Report:
    """Compare two checkpoints, of MindSpore or of any other format, and print a table of shapes and one of values.

    Args:
        orig_file_path: the original checkpoint.
        target_file_path: the target checkpoint; differences are relative to it.
        compare_value: compare the values too.
        print_level: 0 prints nothing, 1 all rows, 2 only rows that differ.
        rtol: values are close when ``|original - target| <= atol + rtol * |target|``, as in ``numpy.isclose``.
        atol: see `rtol`.
        equal_nan: whether two NaN are equal.
        weight_map_path: the JSON of a weight map; the first column then shows its source names. The original may hold
            these names, or the target names already.
        weight_map: the map itself, or the pair that :func:`get_weight_map` returned, instead of its path.
        orig_ckpt_dict: an already loaded dict of tensors, instead of the original file.
        target_ckpt_dict: the same for the target.

    Returns:
        The report behind the tables; true when every pair passed.

    Raises:
        ArgumentError: a file is neither given by path nor as a dict, `print_level` is unknown, a tolerance negative.
        CheckpointError: a file cannot be read.
        WeightMapError: the map does not belong to the original.
        ComparisonError: no two parameters are partners.
    """
    found = None if weight_map_path is None and weight_map is None else _given_map(weight_map_path, weight_map)
    original = _either("orig_file_path", orig_file_path, "orig_ckpt_dict", orig_ckpt_dict)
    target = _either("target_file_path", target_file_path, "target_ckpt_dict", target_ckpt_dict)
    with open_source(original) as first, open_source(target) as second:
        converted = found is not None and all(name in first for entry in found for name in entry.target)
        return _compare_and_print(
            first,
            second,
            None if converted else found,
            shown=found if converted else None,
            labels=(label(original), label(target)),
            names=("original ckpt", "target ckpt"),
            values=compare_value,
            print_level=print_level,
            tolerances=check_tolerances(rtol, atol, equal_nan),
        )


def compare_pth_and_ckpt(
    weight_map_path: StrPath | None = None,
    pt_file_path: StrPath | None = None,
    ms_file_path: StrPath | None = None,
    *,
    compare_value: bool = True,
    print_level: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    print_conv_info: bool = False,
    weight_map: GivenMap | None = None,
) -> Report:
    """Compare a torch file with a MindSpore checkpoint through a weight map; nothing is converted on disk.

    Args:
        weight_map_path: the JSON that :func:`get_weight_map` wrote.
        pt_file_path: the torch file.
        ms_file_path: the MindSpore checkpoint; differences are relative to it.
        compare_value: compare the values too; shapes and values are compared after the change of layout.
        print_level: 0 prints nothing, 1 all rows, 2 only rows that differ.
        rtol: values are close when ``|torch - MindSpore| <= atol + rtol * |MindSpore|``, as in ``numpy.isclose``.
        atol: see `rtol`.
        equal_nan: whether two NaN are equal.
        print_conv_info: print the table of names and layouts as :func:`convert_weight` does.
        weight_map: the pair that :func:`get_weight_map` returned, instead of its path.

    Returns:
        The report behind the tables; true when every pair passed. What MindSpore cannot have, as
        ``num_batches_tracked``, is shown as not applicable and does not fail.

    Raises:
        ArgumentError: a path is missing, `print_level` is unknown, a tolerance negative.
        CheckpointError: a file cannot be read.
        WeightMapError: the map does not belong to the torch file.
        ComparisonError: no two parameters are partners.
    """
    original = _either("pt_file_path", pt_file_path)
    target = _either("ms_file_path", ms_file_path)
    with _converted(weight_map_path, weight_map, original, None) as (_, conversion), open_source(target) as second:
        if print_conv_info:
            print(conversion)
        with open_source(original) as first:
            return _compare_and_print(
                first,
                second,
                _given_map(weight_map_path, weight_map),
                labels=(label(original), label(target)),
                names=("torch", "MindSpore"),
                values=compare_value,
                print_level=print_level,
                tolerances=check_tolerances(rtol, atol, equal_nan),
            )


def _compare_and_print(
    original: LazyTensors,
    target: LazyTensors,
    steps: WeightMap | None,
    *,
    labels: tuple[str, str],
    names: tuple[str, str],
    values: bool,
    print_level: int,
    tolerances: Tolerances,
    shown: WeightMap | None = None,
) -> Report:
    """The two tables of a comparison, and the report behind them."""
    if isinstance(print_level, bool) or print_level not in (0, 1, 2):
        raise ArgumentError(f"print_level must be 0, 1 or 2, not {print_level!r}")
    report = compare_opened(original, target, tolerances, steps, labels=labels, values=values)
    if shown is not None:
        sources = {name: " + ".join(entry.source) for entry in shown for name in entry.target}
        rows = (replace(row, original=sources.get(row.original or "", row.original)) for row in report)
        report = Report(rows, *labels)
    if print_level:
        from ts_core.comparison import shape_table, value_table

        for table in (shape_table, value_table) if values else (shape_table,):
            print(table(report, names, only_different=print_level == 2))
    return report


def _either(parameter: str, path: StrPath | None, other: str = "", tensors: Mapping[str, Any] | None = None) -> Any:
    """A source that is given by its path, or as a dict instead."""
    if path is None and tensors is None:
        raise ArgumentError(f"{parameter}{f' or {other}' if other else ''} must be given")
    if tensors is None and not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"{parameter} must be a path, not {type(path).__name__}")
    return path if tensors is None else tensors


def compare_npy_dir(
    orig_dir: StrPath,
    target_dir: StrPath,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    *,
    name_map_list: Sequence[NamePair] | None = None,
    compare_shape: bool = False,
    output_file: StrPath | None = None,
    num_processes: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Report:
    """Compare the ``.npy`` files of two folders, and print a table.

    Args:
        orig_dir: the folder of the original.
        target_dir: the folder of the target; differences are relative to it.
        rtol: values are close when ``|original - target| <= atol + rtol * |target|``, as in ``numpy.isclose``.
        atol: see `rtol`.
        equal_nan: whether two NaN are equal.
        name_map_list: the files to compare, ``(original, target)``; either may be None, and ``.npy`` may be omitted. By
            default :func:`get_name_map_list_by_name`.
        compare_shape: show the shapes as well.
        output_file: where to write the table as CSV; its folder must exist.
        num_processes: another name of `workers`.
        workers: the number of threads; by default one for each processor that this process may use.
        executor: any ``concurrent.futures.Executor`` instead of threads.

    Returns:
        The report behind the table; true when every pair passed. A file that cannot be read is a row that says so.

    Raises:
        ArgumentTypeError: an argument has the wrong type.
        ArgumentError: a folder does not exist, or holds no ``.npy`` file; the message names the parameter.
        ComparisonError: no file has a partner.
    """
    original, target = saved_files(orig_dir, "orig_dir"), saved_files(target_dir, "target_dir")
    if name_map_list is None:
        name_map_list = get_name_map_list_by_name(orig_dir, target_dir)
    names = check_names(name_map_list)
    tolerances = check_tolerances(rtol, atol, equal_nan)
    if not isinstance(compare_shape, bool):
        raise ArgumentTypeError(f"compare_shape must be a bool, not {type(compare_shape).__name__}")
    if output_file is not None:
        if not isinstance(output_file, str | os.PathLike):
            raise ArgumentTypeError(f"output_file must be a path, not {type(output_file).__name__}")
        _require_folder_of(output_file, "output_file")
    from ts_core.comparison import as_csv, file_table
    from ts_core.log import user_logger

    user_logger().warning(
        "[*User Attention*] The compare directory information:\n The orig dir: %s \n The target dir: %s",
        orig_dir,
        target_dir,
    )
    report = compare_opened(
        original,
        target,
        tolerances,
        names=names,
        labels=(str(original.path), str(target.path)),
        workers=num_processes if workers is None else workers,
        executor=executor,
        progress=True,
    )
    table = file_table(report, with_shapes=compare_shape)
    print(table)
    if output_file is not None:
        write_text(output_file, as_csv(table))
    return report


def compare_list_dir(orig_dir: StrPath, target_dir: StrPath, *args: Any, **kwargs: Any) -> Report:
    """As :func:`compare_npy_dir`, with files paired by the last number in their names: lists and tuples saved twice."""
    kwargs.setdefault("name_map_list", get_name_map_list_by_number(orig_dir, target_dir))
    return compare_npy_dir(orig_dir, target_dir, *args, **kwargs)


def compare_dict_dir(orig_dir: StrPath, target_dir: StrPath, *args: Any, **kwargs: Any) -> Report:
    """As :func:`compare_npy_dir`, with files paired by name: dicts saved twice."""
    return compare_npy_dir(orig_dir, target_dir, *args, **kwargs)


def compare_grads_dir(orig_dir: StrPath, target_dir: StrPath, *args: Any, **kwargs: Any) -> Report:
    """As :func:`compare_npy_dir`, with files paired by shape edit distance and with the shapes shown."""
    kwargs.setdefault("name_map_list", get_name_map_list_by_shape_edit_distance(orig_dir, target_dir))
    kwargs.setdefault("compare_shape", True)
    return compare_npy_dir(orig_dir, target_dir, *args, **kwargs)


def get_name_map_list_by_name(orig_dir: StrPath, target_dir: StrPath) -> list[NamePair]:
    """Pair the ``.npy`` files of two folders by name.

    Equal names first; then names that are equal without the ``_<dtype>_<id>`` that ``ts.save`` appends, several of them
    in the order of their ids; then what is left of the original, then of the target.

    Args:
        orig_dir: the folder of the original.
        target_dir: the folder of the target.

    Returns:
        ``(original, target)`` file names, None for no partner.

    Raises:
        ArgumentTypeError: a folder is no path.
        ArgumentError: a folder does not exist, or holds no ``.npy`` file; the message names the parameter.
    """
    original, target = _folders(orig_dir, target_dir)
    pairs = pair_files_by_name(original.names, target.names)
    _warn_if(any(None in pair for pair in pairs))
    return pairs


def get_name_map_list_by_number(orig_dir: StrPath, target_dir: StrPath) -> list[NamePair]:
    """Pair the ``.npy`` files of two folders in the order in which they were saved, told by their last number.

    The shorter list is filled up with None; arguments, result and errors as :func:`get_name_map_list_by_name`.
    """
    original, target = _folders(orig_dir, target_dir)
    _warn_if(len(original.names) != len(target.names))
    return pair_files_by_number(original.names, target.names)


def get_name_map_list_by_shape_edit_distance(
    orig_dir: StrPath, target_dir: StrPath, *, del_cost: float = 1, ins_cost: float = 1, rep_cost: float = 5
) -> list[NamePair]:
    """Pair the ``.npy`` files of two folders so that their shapes, in the order of saving, align at the least cost.

    Only headers are read. Folders, result and errors as :func:`get_name_map_list_by_name`.

    Args:
        orig_dir: the folder of the original.
        target_dir: the folder of the target.
        del_cost: of a file of the original without a partner.
        ins_cost: of a file of the target without a partner.
        rep_cost: of partners with different shapes; equal shapes are free.
    """
    original, target = _folders(orig_dir, target_dir)
    pairs = pair_files_by_shape(original, target, del_cost=del_cost, ins_cost=ins_cost, rep_cost=rep_cost)
    _warn_if(any(None in pair for pair in pairs))
    return pairs


def _folders(orig_dir: StrPath, target_dir: StrPath) -> tuple[NpyFiles, NpyFiles]:
    folders = saved_files(orig_dir, "orig_dir"), saved_files(target_dir, "target_dir")
    for parameter, folder in zip(("orig_dir", "target_dir"), folders, strict=True):
        if not folder.names:
            raise ArgumentError(f"{parameter}: there is no .npy file in the folder {str(folder.path)!r}")
    return folders


def _warn_if(unequal: bool) -> None:
    if unequal:
        from ts_core.log import user_logger

        user_logger().warning(
            "[*User Warning*] The number of files or their corresponding shapes are inconsistent, "
            "and some files may not be correctly mapped."
        )


@contextmanager
def _converted(
    map_path: StrPath | None, map_pair: GivenMap | None, file_path: StrPath | None, tensors: Mapping[str, Any] | None
) -> Iterator[tuple[LazyTensors, ConversionReport]]:
    """A torch file, or dict, seen through a weight map that holds exactly its names."""
    found = _given_map(map_path, map_pair)
    with _torch_tensors(file_path, tensors) as source:
        _require_same_names(found, source)
        target = found.apply(source)
        rows = mapped_rows(source.index, target, found.entries)
        yield target, ConversionReport(rows, source_framework="torch", target_framework="mindspore")


def _torch_tensors(file_path: StrPath | None, tensors: Mapping[str, Any] | None) -> LazyTensors:
    """A torch file, or a dict in its place."""
    if file_path is None and tensors is None:
        raise ArgumentError("one of pt_file_path and pt_param_dict must be given")
    try:
        return open_source(file_path if tensors is None else tensors)
    except (NoParametersError, NoPluginError) as problem:  # the latter: a dict that holds more than tensors
        raise NoParametersError(f"PTH file parsing failed, possible reasons: {problem}") from problem


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
