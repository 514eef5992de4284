"""``ts.compare_settings``: what two networks were told, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ts_core.configuration import _file
from ts_core.configuration._description import NetworkSettings, settings
from ts_core.configuration._pairs import Paired, paired
from ts_core.configuration._pausing import uncollected
from ts_core.configuration._report import SettingDifference, SettingsReport
from ts_core.configuration._rows import compared, ordered
from ts_core.configuration._running import moved, ran
from ts_core.errors import ArgumentError, SettingsError, TsError
from ts_core.mapping import WeightMap
from ts_core.running import as_inputs


def compare_settings(
    source: object, target: object, *, weight_map: object = None, sample_inputs: object = None
) -> SettingsReport:
    """What the layers of two networks were told, side by side, compared in meaning.

    Layers are paired by their weights, and where they have none by name, kind and order between those that have.
    Nothing is run unless there are sample inputs: code in ``forward`` and ``construct`` is out of sight.

    Args:
        source: a network of any framework, what :func:`ts_core.settings` returned of one, or its JSON file.
        target: likewise.
        weight_map: which weights belong together, as :func:`ts_core.transfer` takes it; by default it is found.
        sample_inputs: an input, or a tuple of inputs, that both networks can run on, as arrays. Layers are then taken
            in the order in which they run, the sizes of the inputs decide what depends on them, and what moves the
            output comes first. Needs two networks; they are run in evaluation mode and left as they were.

    Returns:
        A row for each setting of each pair of layers, false where they differ in meaning; layers of one side alone are
        rows as well.

    Raises:
        ArgumentTypeError: source or target is none of these.
        SettingsError: a file holds weights or no settings, or is of another version; or the two have next to nothing
            in common.
        ArgumentError: `sample_inputs` without two networks to run.
    """
    found = None if weight_map is None else WeightMap.of(weight_map)
    with uncollected():
        ours, theirs = _described(source), _described(target)
        if sample_inputs is None:
            files = [str(side) for side in (source, target) if isinstance(side, str | os.PathLike)]
            with _blaming(files):
                pairs = paired(ours, theirs, found)
                return _report(compared(ours, theirs, pairs), ours, theirs, pairs)
    if any(isinstance(side, NetworkSettings | str | os.PathLike) for side in (source, target)):
        raise ArgumentError("sample_inputs needs two networks: a file of settings cannot be run")
    inputs = as_inputs(sample_inputs)
    told = ran(source, target, inputs)
    pairs = paired(ours, theirs, found, told.orders)
    rows = compared(ours, theirs, pairs, told.shapes)
    suspects = {(row.source, row.target) for row in rows if not row and row.source and row.target}
    apart = moved(source, target, inputs, found, [p for p in pairs.found.pairs if (p.source, p.target) in suspects])
    rows = [row if row or not row.source else row._replace(moved=apart.get(row.target)) for row in rows]
    return _report(rows, ours, theirs, pairs)


def _report(
    rows: list[SettingDifference], source: NetworkSettings, target: NetworkSettings, pairs: Paired
) -> SettingsReport:
    return SettingsReport(ordered(rows), source, target, len(pairs.found.pairs), pairs.found.code)


@contextmanager
def _blaming(files: Sequence[str]) -> Iterator[None]:
    """What comes of values in files that no network has is the fault of the files."""
    try:
        yield
    except TsError:
        raise
    except Exception as problem:
        if not files:
            raise
        raise SettingsError(
            f"{' and '.join(files)}: a damaged settings file: it says what cannot be of a layer "
            f"({type(problem).__name__}: {problem})"
        ) from problem


def _described(side: object) -> NetworkSettings:
    if isinstance(side, NetworkSettings):
        return side
    if isinstance(side, str | os.PathLike):
        return NetworkSettings(**_file.read(side))
    return settings(side)
