"""``ts.compare``: anything against anything."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

from ts_core.checkpoints import Checkpoint, NpyFiles, framework_of_format
from ts_core.comparison._engine import compare_pairs, compare_shapes
from ts_core.comparison._folders import NamePair
from ts_core.comparison._metrics import Tolerance
from ts_core.comparison._pairing import pair_up
from ts_core.comparison._pieces import Pair, Tolerances
from ts_core.comparison._report import Report
from ts_core.comparison._sections import Sides, side_by_side
from ts_core.contract.readers import LazyTensors
from ts_core.errors import (
    ArgumentError,
    ArgumentTypeError,
    ComparisonError,
    ComparisonWarning,
    NoParametersError,
    TsError,
    warn,
)
from ts_core.frameworks import framework_of
from ts_core.sources import NetworkTensors, borrowed, open_options

if TYPE_CHECKING:
    from ts_core.mapping import WeightMap


def compare(
    original: object,
    target: object,
    *,
    weight_map: object = None,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    equal_nan: bool = False,
    tolerances: Mapping[str, tuple[float, float]] | None = None,
    source_options: Mapping[str, Any] | None = None,
    target_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Report:
    """Compare two sets of named tensors, element by element.

    Names are matched by `weight_map`; without one, two networks, or a network and a checkpoint, of different
    frameworks are matched by a map made on the spot, and everything else by equal names.

    Args:
        original: a network of any framework, the path of a checkpoint or of a folder of ``.npy`` files, or a mapping of
            names to tensors, in which None stands for a tensor that is not there (see :func:`ts_core.gradients`).
        target: the same; differences are relative to it.
        weight_map: a :class:`~ts_core.WeightMap` from the original's names and layouts to the
            target's, the path of its JSON file, or the pair that ``migrator.get_weight_map`` returns. Of a mapping, the
            map may know more names than are there: gradients have those of the trainable parameters only.
        rtol: two elements are close when ``|original - target| <= atol + rtol * |target|``, as in ``numpy.isclose``.
        atol: see `rtol`.
        equal_nan: whether two NaN are equal.
        tolerances: other tolerances ``(rtol, atol)`` for some pairs: by a glob over names (``"*.bias"``) or by the name
            of a dtype (``"float16"``); the first key that matches counts.
        source_options: how to open the original when it is a path: keyword arguments of
            :func:`~ts_core.open_checkpoint` (``{"key": "ema", "strip_prefix": "module."}``).
        target_options: the same for the target.
        workers: the number of threads, or, for files of a GB in all, of processes, this one included, which import
            nothing of the caller's program. By default one for each processor that this process may use, but one alone
            for tensors of a few KB, which more would not speed up unless they come from a slow network.
        executor: any ``concurrent.futures.Executor`` instead. A worker in another process opens the files itself, and
            is sent what is in no file. The executor is not shut down.
        progress: show a progress bar on stderr when that is a terminal.

    Returns:
        A report with a row for each pair in the order of the original, then for what only the target has. It is true
        when every pair passed.

    Raises:
        ArgumentError: a tolerance is negative or no number, `workers` is less than 1, or there is no such option.
        ArgumentTypeError: an argument has the wrong type.
        CheckpointError: a file cannot be opened; a damaged one in a folder of ``.npy`` files is a row instead.
        WeightMapError: the map does not belong to the original.
        ComparisonError: there is nothing to compare, as when no name of one is in the other.
    """
    limits = check_tolerances(rtol, atol, equal_nan, tolerances)
    ours = open_options("source_options", source_options, original)
    theirs = open_options("target_options", target_options, target)
    labels = (label(original), label(target))
    with _opened(original, ours) as first, _opened(target, theirs) as second:
        sides = side_by_side(first, second, labels)
        if weight_map is None:
            steps = _map_between(original, target, first, second, sides.models)
        else:
            from ts_core.mapping import WeightMap  # which the processes that share the work do without

            steps = WeightMap.of(weight_map)
            if _is_plain(original):
                steps = steps.only(first) or steps  # a map that knows none of the names is a mistake, told by `apply`
        return compare_opened(
            *sides.models,
            limits,
            steps,
            sides=sides,
            labels=labels,
            workers=workers,
            executor=executor,
            progress=None if progress else False,
        )


def compare_opened(
    original: LazyTensors,
    target: LazyTensors,
    tolerances: Tolerances,
    steps: WeightMap | None = None,
    *,
    labels: tuple[str, str],
    names: Sequence[NamePair] | None = None,
    sides: Sides | None = None,
    values: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> Report:
    """Compare two sources that are open; see :func:`compare`, and :func:`compare_pairs` for `progress`.

    The map `steps` leads from the original to the target, which the report calls by their `labels`. Where it is not for
    the map to say what belongs together, `names` does. What there is beside the models is in `sides`. Without
    `values`, shapes alone are compared; no data is read.

    Raises:
        ComparisonError: no two tensors are partners.
    """
    pairs = pair_up(original, target, steps) if names is None else [Pair(*pair) for pair in names]
    mapped = original if steps is None else steps.apply(original)
    sources, notes = (mapped, target), sides.notes if sides else ()
    if sides is not None and sides.pairs:
        pairs, sources = [*pairs, *sides.pairs], sides.joined(mapped)
    if not any(pair.original is not None and pair.target is not None for pair in pairs):
        raise _nothing_paired(labels, original, target, steps)
    if not values:
        return Report(compare_shapes(sources, pairs), *labels, notes)
    rows = compare_pairs(sources, pairs, tolerances, workers=workers, executor=executor, progress=progress)
    # Patterns that fit nothing are likely to be mistyped, and their pairs had the usual tolerance.
    unused = tolerances.unused(((r.original, r.target), (r.original_dtype, r.target_dtype)) for r in rows)
    if unused:
        warn(ComparisonWarning(f"tolerances: no name and no dtype fits {', '.join(unused)}"))
    return Report(rows, *labels, notes)


def check_tolerances(
    rtol: float, atol: float, equal_nan: bool, special: Mapping[str, tuple[float, float]] | None = None
) -> Tolerances:
    """The tolerances of a comparison.

    Raises:
        ArgumentTypeError: one is no number, `equal_nan` no bool, or `special` no mapping.
        ArgumentError: one is negative or NaN.
    """
    if not isinstance(equal_nan, bool):
        raise ArgumentTypeError(f"equal_nan must be a bool, not {type(equal_nan).__name__}")
    if special is not None and not isinstance(special, Mapping):
        raise ArgumentTypeError(f"tolerances must be a dict, not {type(special).__name__}")
    usual = Tolerance(_tolerance("rtol", rtol), _tolerance("atol", atol), equal_nan)
    pairs = []
    for pattern, limits in (special or {}).items():
        if not isinstance(limits, tuple | list) or len(limits) != 2:
            raise ArgumentTypeError(f"tolerances[{pattern!r}] must be a pair (rtol, atol), not {limits!r}")
        relative, absolute = (_tolerance(f"tolerances[{pattern!r}]", limit) for limit in limits)
        pairs.append((str(pattern), Tolerance(relative, absolute, equal_nan)))
    return Tolerances(usual, tuple(pairs))


def _tolerance(name: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name} must be a number, not {type(value).__name__}") from None
    if math.isnan(number) or number < 0:
        raise ArgumentError(f"{name} must not be negative or NaN: {value!r}")
    return number


def _is_plain(source: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(source, Mapping) and not isinstance(source, LazyTensors)


def _present(source: object) -> object:
    """The source; of a mapping, what is not None."""
    return {name: item for name, item in source.items() if item is not None} if _is_plain(source) else source


def _nothing_paired(
    labels: tuple[str, str], original: LazyTensors, target: LazyTensors, steps: WeightMap | None
) -> ComparisonError:
    for name, tensors in zip(labels, (original, target), strict=True):
        if not tensors:
            return ComparisonError(f"{name}: no tensors to compare")
    if steps is None and isinstance(original, NpyFiles) and isinstance(target, NpyFiles):
        return ComparisonError(
            f"no file of {labels[0]} has a partner in {labels[1]}: pair them by other means, such as "
            "get_name_map_list_by_number"
        )
    advice = "pass a weight_map (`ts map A --like B -o map.json` or ts.weight_map finds one; --map on the command line)"
    if steps is not None:
        advice = "is the weight map for another checkpoint?"
    return ComparisonError(
        f"no tensor of {labels[0]} (such as {next(iter(original))!r}) has a partner in {labels[1]} "
        f"(such as {next(iter(target))!r}): {advice}"
    )


@contextmanager
def _opened(source: object, options: Mapping[str, Any]) -> Iterator[LazyTensors]:
    """A source, open; of a file without a model, as the state of an optimizer, everything that is in it."""
    with ExitStack() as stack:
        try:
            tensors = stack.enter_context(borrowed(_present(source), **options))
        except NoParametersError as problem:
            if options.get("key") is not None:
                raise
            try:
                tensors = stack.enter_context(borrowed(source, **{**options, "key": ""}))
            except TsError:
                raise problem from None
        yield tensors


def _map_between(
    original: object,
    target: object,
    first: LazyTensors,
    second: LazyTensors,
    models: tuple[LazyTensors, LazyTensors],
) -> WeightMap | None:
    """A map made on the spot, when one side is a network and the other is, or may be, of another framework."""
    if not any(isinstance(tensors, NetworkTensors) for tensors in (first, second)):
        return None
    frameworks = (_framework(original, first), _framework(target, second))
    if frameworks[0] == frameworks[1] or (None in frameworks and set(first) == set(second)):
        return None
    from ts_core.mapping import weight_map

    sides = zip((first, second), models, strict=True)
    return weight_map(*(side if isinstance(side, NetworkTensors) else model for side, model in sides))


def _framework(source: object, tensors: LazyTensors) -> str | None:
    """The framework of a network, or of a checkpoint in that framework's own format."""
    if isinstance(tensors, Checkpoint | NpyFiles):
        return framework_of_format(tensors.format)
    return framework_of(source)


def label(source: object) -> str:
    """What a report calls a source: its path, or its type."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else type(source).__name__
