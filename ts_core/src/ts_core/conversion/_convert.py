"""``ts.convert`` and ``ts.save_checkpoint``: into a checkpoint of any format, one tensor at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ts_core import errors
from ts_core.checkpoints import format_of, framework_of_format, write_checkpoint
from ts_core.contract.arrays import Array
from ts_core.contract.byte_sources import release
from ts_core.contract.casting import some_counts
from ts_core.contract.files import RELEASED, path_of
from ts_core.contract.nouns import CheckpointIndex, OfTheFile
from ts_core.contract.readers import LazyTensors
from ts_core.conversion._casting import CastTensors
from ts_core.conversion._left import left_behind, sections_beside, tops_of, without_strays
from ts_core.conversion._report import CONSISTENT, ConversionReport, ConversionRow, mapped_rows
from ts_core.conversion._strictness import refusals, warn
from ts_core.errors import ArgumentError, ArgumentTypeError, ConversionWarning, WeightMapError
from ts_core.frameworks import framework_called
from ts_core.mapping import UNKNOWN_LAYER, WeightMap
from ts_core.mapping import weight_map as make_weight_map
from ts_core.sources import borrowed, open_source, require_one_model
from ts_core.text import listed, safe

UNCHANGED = (
    "The names stay unchanged: nothing is translated without to=, target= or weight_map= "
    "(on the command line --to, --like or --map)."
)
_ADVICE = {  # by the argument that the map was made from
    "to": "a target network or checkpoint (target=, on the command line --like) or a finished map (weight_map=, --map) "
    "settles them",
    "target": "is it the same network? `ts map SOURCE --like TARGET -o map.json` writes a map to complete by hand",
    "weight_map": "complete the map, or is it for another checkpoint?",
}
_SHOWN = 5  # names that an error lists before it counts the rest
_PROGRESS_AFTER = 0.5  # seconds; a conversion that is done by then shows no bar


def convert(
    source: object,
    destination: str | os.PathLike[str],
    *,
    to: str | None = None,
    target: object = None,
    weight_map: WeightMap | tuple[Mapping[str, Any], Mapping[str, Any]] | str | os.PathLike[str] | None = None,
    format: str | None = None,
    cast: Mapping[str, str] | None = None,
    allow_overflow: bool = False,
    max_shard_size: int | str | None = None,
    metadata: Mapping[str, object] | None = None,
    progress: bool = True,
    allow_unknown: bool = False,
    fold_biases: bool = False,
    **open_options: Any,
) -> ConversionReport:
    """Convert a checkpoint to another format, and its names and layouts to those of another framework.

    Everything is planned from the headers first; then the tensors stream from the mapped source to the destination,
    which appears whole or not at all. The source may be the destination.

    Args:
        source: the path of a checkpoint of any format; also a network, or a mapping of names to tensors.
        destination: where to write.
        to: the name of a framework, to translate names and layouts by layer rules.
        target: a network, checkpoint or mapping, to match names and layouts to what is really there.
        weight_map: a map that was made before: the value, the pair that ``get_weight_map`` returns, or a file.
        format: of the destination; by default what its suffix stands for.
        cast: names of dtypes → names of the dtypes to store instead, ``{"bfloat16": "float32"}``.
        allow_overflow: let the report be true although elements do not fit into the dtype that `cast` asks for: an
            overflow, an integer that wraps around, a fraction that is cut off. They are counted in the rows in any
            case. Rounding, and a small number that becomes 0 by it, is no such change.
        max_shard_size: split into files of at most so many bytes (``"5GB"``) with an index beside them.
        metadata: entries to write that are no tensors, besides those of the source. What a source holds beside a
            model (optimizer, random state) is left behind, and a note says so; into a ``.ckpt``, where MindSpore would
            take it for parameters, also its metadata (epoch): it is written when it is given here.
        progress: show a bar on stderr, over bytes, if it is a terminal and the conversion takes a while.
        allow_unknown: write the file although `to` was asked for and no rule knows any of the names.
        fold_biases: with `target`, subtract biases that it has no place for from the running mean of the batch norm
            behind them.
        open_options: ``key``, ``strip_prefix``, ``verify``, ``trust_pickle`` of :func:`ts_core.open_checkpoint`.

    Returns:
        A row for each parameter; true when all of them arrived, and printed as a table. False when a bias got lost, of
        a layer that the `target` builds without: that is a :class:`~ts_core.errors.WeightMapWarning` as well; and when
        elements do not fit into the dtype of a `cast`, unless `allow_overflow`.

    Raises:
        ArgumentError: the file holds several models, and there is no ``key=``: the message lists them; more than one
            of `to`, `target`, `weight_map`; `fold_biases` without a target; no plug-in knows the framework; a suffix
            that stands for no format; a cast that would lose the imaginary part, or names an unknown dtype.
        CheckpointError: the source cannot be read.
        WeightMapError: names do not match, are ambiguous, or belong to layers that the other framework lacks; the
            message lists them. Or nothing was translated, because no rule knows any of the names.
        UnsupportedDtypeError: the format cannot hold a dtype or shape; the message lists the tensors.
        CheckpointWriteError: no room, no permission.

    Warns:
        WeightMapWarning: biases get lost, or layers were matched by order alone.
        ConversionWarning: elements do not fit into the dtype of a `cast`; a `cast` fits no tensor; the format cannot
            hold some of the metadata.
    """
    given = [
        name for name, value in {"to": to, "target": target, "weight_map": weight_map}.items() if value is not None
    ]
    if len(given) > 1:
        raise ArgumentError(f"{' and '.join(given)} contradict each other: give one of them")
    if fold_biases and target is None:
        raise ArgumentError("fold_biases needs target=: without one nobody knows which biases get lost")
    if to is not None:
        framework_called(to)
    place = path_of(destination, "destination")
    chosen = format_of(place, format)
    with borrowed(source, **open_options) as tensors:
        if weight_map is None:
            require_one_model(tensors)
        passing = _Passing(tensors)
        found = _weight_map(tensors, source, to, target, weight_map)
        found = found.fold() if found is not None and fold_biases else found
        notes: list[str] = []
        if found is None:
            translated: LazyTensors = passing
            rows = tuple(ConversionRow(n, n, CONSISTENT, i.shape, i.shape) for n, i in tensors.index.items())
            notes.append(UNCHANGED)
        else:
            _require_complete(found, tensors.index, given[0])
            if to is not None and not allow_unknown:
                _require_translated(found, to)
            warn(found)
            translated = found.apply(passing)
            rows = mapped_rows(tensors.index, translated, found.entries, found.unmatched_source)
            notes += found.notes
        casting = CastTensors(translated, cast) if cast else None
        result = translated if casting is None else casting
        said = [] if casting is None else [f"cast: no tensor is {name}" for name in casting.unused]
        kept = without_strays(result, chosen, getattr(tensors, "format", None))
        strays = sorted({*result.metadata} - {*kept.metadata, *(metadata or ())})
        notes += left_behind(tensors, strays, "it would be taken for parameters (metadata= asks for it)")
        with _progress(result.index, place, progress) as advance:

            def written(nbytes: int) -> None:
                passing.let_go()
                advance(nbytes)

            dropped = write_checkpoint(
                kept,
                place,
                format=chosen.name,
                max_shard_size=max_shard_size,
                metadata=metadata,
                progress=written,
            )
        tops = tops_of(sections_beside(tensors))
        dropped = tuple(name for name in dropped if name not in tops)
        if dropped:
            notes.append(_dropped(chosen.name, dropped))
        if missed := _missed(dropped, {**kept.metadata, **(metadata or {})}):
            errors.warn(ConversionWarning(f"{place}: {_dropped(chosen.name, missed)}"))
        notes += said
        if casting is not None:
            rows = tuple(casting.told(row, allow_overflow) for row in rows)
            if casting.changed and not allow_overflow:
                said.append(f"cast: elements do not fit into their new dtypes: {some_counts(casting.changed)}")
        for line in said:
            errors.warn(ConversionWarning(f"{place}: {line}"))
        origin = framework_of_format(getattr(tensors, "format", None))
    return ConversionReport(
        rows, tuple(notes), source_framework=origin, target_framework=to or framework_of_format(chosen.name)
    )


def save_checkpoint(
    tensors: object,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    max_shard_size: int | str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Write named tensors to a checkpoint of any format, one tensor at a time.

    The file appears under its name when it is complete and on the disk; until then an older one stays as it is.

    Args:
        tensors: a mapping of names to tensors of any framework, an open checkpoint, or a network.
        path: where to write.
        format: ``"mindspore"``, ``"torch"``, ``"safetensors"``, ``"npz"``; by default what the suffix stands for.
        max_shard_size: split into files of at most so many bytes (``"5GB"``) with an index beside them.
        metadata: entries that are no tensors, besides those of an open checkpoint (but for a ``.ckpt``, where
            MindSpore would take them for parameters). What the format cannot hold is dropped, and a warning says so.

    Raises:
        ArgumentError: the suffix stands for no format, or the format cannot be split.
        CheckpointError: the format cannot hold a name, or no tensors at all; nothing was written.
        UnsupportedDtypeError: the format cannot hold a dtype or shape; nothing was written.
        CheckpointWriteError: no room, no permission.

    Warns:
        ConversionWarning: the format cannot hold some of the metadata, or something beside the model was left behind.
    """
    place = path_of(path)
    if not isinstance(metadata, Mapping | None) or not all(isinstance(name, str) for name in metadata or ()):
        raise ArgumentTypeError("metadata must be a dict whose keys are str")
    source, chosen = open_source(tensors), format_of(place, format)
    kept = without_strays(source, chosen, getattr(source, "format", None))
    dropped = write_checkpoint(kept, place, format=format, max_shard_size=max_shard_size, metadata=metadata)
    notes = list(left_behind(source))
    if missed := _missed(dropped, {**kept.metadata, **(metadata or {})}):
        notes.append(_dropped(chosen.name, missed))
    for note in notes:
        errors.warn(ConversionWarning(f"{place}: {note}"))


def _missed(dropped: Iterable[str], metadata: Mapping[str, object]) -> list[str]:
    """Of the metadata that was dropped, what told of more than the file that it stood in."""
    return [name for name in dropped if not isinstance(metadata[name], OfTheFile)]


def _dropped(format: str, names: Iterable[str]) -> str:
    shown = ", ".join(name or repr(name) for name in names)
    return f"Metadata that the format {format!r} cannot hold was dropped: {shown}"


def _weight_map(
    tensors: LazyTensors, source: object, to: str | None, target: object, weight_map: Any
) -> WeightMap | None:
    if weight_map is not None:
        return WeightMap.of(weight_map)
    if to is None and target is None:
        return None
    subject = tensors if isinstance(source, str | os.PathLike) else source  # a network knows more than its tensors
    return make_weight_map(subject, to if to is not None else target)


def _require_complete(weight_map: WeightMap, source: CheckpointIndex, origin: str) -> None:
    """Nothing is lost silently: a map has to say something of every tensor of the source."""
    said = {name for entry in weight_map.entries for name in entry.source}
    said.update(unmatched.name for unmatched in weight_map.unmatched_source)
    said.update(name for ambiguity in weight_map.ambiguous for name in ambiguity.source)
    problems = [f"{name}: the weight map does not mention it" for name in source if name not in said]
    problems += refusals(weight_map)
    if problems:
        raise WeightMapError(
            listed(f"the weight map leaves these open, and nothing was written ({_ADVICE[origin]}):", problems)
        )


def _require_translated(weight_map: WeightMap, to: str) -> None:
    """A conversion that was to translate names, and knew none of them, did nothing that was asked for."""
    if weight_map.entries and all(entry.how == UNKNOWN_LAYER for entry in weight_map.entries):
        names = [entry.source[0] for entry in weight_map.entries]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise WeightMapError(
            f"nothing can be translated to {to}, and nothing was written: no layer rule knows any of the {len(names)} "
            f"names: {', '.join(names[:_SHOWN])}{more}. Give the target network or checkpoint (target=, on the command "
            "line --like), a finished map (weight_map=, --map), or keep the names on purpose (allow_unknown=True, "
            "--allow-unknown)"
        )


class _Passing(LazyTensors):
    """A source of which nothing stays in memory that has passed: the pages of a mapped file are let go of."""

    def __init__(self, source: LazyTensors) -> None:
        self._source = source
        self._arrays: list[Array] = []

    @property
    def index(self) -> CheckpointIndex:
        """That of the source."""
        return self._source.index

    def read(self, name: str) -> Array:
        """One tensor of the source."""
        array = self._source.read(name)
        if array.nbytes >= RELEASED:
            self._arrays.append(array)
        return array

    def let_go(self) -> None:
        """What was read so far is not needed any more."""
        while self._arrays:
            release(self._arrays.pop())


@contextmanager
def _progress(index: CheckpointIndex, path: Path, wanted: bool) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    total = sum(info.nbytes for info in index.values())
    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "delay": _PROGRESS_AFTER}
    with tqdm(total=total, desc=safe(path.name), disable=None if wanted else True, **options) as bar:
        yield bar.update
