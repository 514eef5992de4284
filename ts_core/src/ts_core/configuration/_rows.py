"""From two networks whose layers are paired to the rows of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ts_core.configuration._description import NetworkSettings
from ts_core.configuration._folding import Folded, folded
from ts_core.configuration._meaning import (
    INFERENCE,
    KIND,
    SOME_SIZES,
    TRAINING,
    Difference,
    differences,
    does_nothing,
    moves_no_number,
    needs_training,
)
from ts_core.configuration._pairs import Paired
from ts_core.configuration._report import SettingDifference
from ts_core.contract.dtypes import dtype_name
from ts_core.frameworks import ToldLayer

Shape = tuple[int, ...]

MODE, DTYPE = "training", "dtype"
ONE_SIDE = "only on one side: missing on the other, or done there in code"
_RANKS = {INFERENCE: 0, SOME_SIZES: 1, TRAINING: 3}


def compared(
    source: NetworkSettings,
    target: NetworkSettings,
    pairs: Paired,
    shapes: Mapping[str, Shape] | None = None,
) -> list[SettingDifference]:
    """The rows of two networks whose layers are paired, in the order of the source."""
    shapes = shapes or {}
    ours, theirs = pairs.layers
    pads = folded(list(ours.values()), pairs.found.source), folded(list(theirs.values()), pairs.found.target)
    both = [(ours[pair.source], theirs[pair.target], pair.how) for pair in pairs.found.pairs]
    rows = [*_whole(source, target), *_by_layer(both, source, target)]
    known: dict[tuple[object, ...], list[Difference]] = {}
    for own, their, how in both:
        one, other = own, their
        if own.path in pads[0] or their.path in pads[1]:
            padded = pads[0].get(own.path), pads[1].get(their.path)
            one, other = padded[0].layer if padded[0] else own, padded[1].layer if padded[1] else their
            rows += _zeros(*padded, one, other, how)
        shape = shapes.get(one.same_as or one.path)
        # Layers that were told the same share their values, so that what is alike is weighed once.
        key = (one.kind, other.kind, shape, *map(id, one.settings.values()), None, *map(id, other.settings.values()))
        if key not in known:
            known[key] = list(differences(one, other, shape))
        mine, theirs_told = one.settings, other.settings
        rows += [
            SettingDifference(
                one.path, other.path, one.kind or "", *found, how, mine.get(found[0]), theirs_told.get(found[0])
            )
            for found in known[key]
        ]
    for side, layers, spare in ((0, ours, pairs.found.source), (1, theirs, pairs.found.target)):
        strangers = (layers[path] for path in spare if path not in pairs.in_parts[side])
        behind = {one.by: path for path, one in pads[side].items()}
        rows += [_alone(layer, side, behind.get(layer.path)) for layer in strangers if layer.kind is not None]
    return rows


def _zeros(
    mine: Folded | None, yours: Folded | None, one: ToldLayer, other: ToldLayer, how: str
) -> Iterator[SettingDifference]:
    """A maximum that one side alone takes over zeros, where the other has nothing."""
    over = [folds.by for folds in (mine, yours) if folds is not None and folds.zeros]
    if len(over) == 1:
        words = ["zeros" if folds is not None and folds.zeros else "nothing" for folds in (mine, yours)]
        remark = f"the zeros of {over[0]} count in the maximum"
        yield SettingDifference(
            one.path, other.path, one.kind or "", "pads", words[0], words[1], False, INFERENCE, how=how, remark=remark
        )


def _alone(layer: ToldLayer, side: int, behind: str | None) -> SettingDifference:
    """A layer that one side alone has; `behind` is the layer whose pads it makes."""
    same = moves_no_number(layer) or behind is not None
    when = "" if same else TRAINING if needs_training(layer) else INFERENCE
    remark = ONE_SIDE if not same else "does nothing" if does_nothing(layer) else "changes the shape alone"
    remark = remark if behind is None else f"counts as pads of {behind}"
    here = side == 0
    return SettingDifference(
        layer.path if here else "",
        "" if here else layer.path,
        str(layer.kind),
        KIND,
        layer.kind if here else None,
        None if here else layer.kind,
        same,
        when,
        remark=remark,
    )


def _whole(source: NetworkSettings, target: NetworkSettings) -> Iterator[SettingDifference]:
    """What is true of the networks as a whole: their mode, and their dtypes."""
    if source.training is not None and target.training is not None:
        same = source.training == target.training
        yield SettingDifference("", "", "", MODE, source.training, target.training, same, "" if same else INFERENCE)
    ours, theirs = _floats(source), _floats(target)
    if ours and theirs:
        same = ours == theirs
        yield SettingDifference("", "", "", DTYPE, ours, theirs, same, "" if same else INFERENCE)


def _floats(told: NetworkSettings) -> tuple[str, ...]:
    return tuple(sorted({dtype_name(one.dtype) for one in told.parameters if one.dtype.kind not in "biu"}))


def _by_layer(
    both: Sequence[tuple[ToldLayer, ToldLayer, str]], source: NetworkSettings, target: NetworkSettings
) -> Iterator[SettingDifference]:
    """Layers whose mode or dtype is not that of their network, where their partner's is."""
    dtypes = [_dtypes_of(told) for told in (source, target)]
    usual = _floats(source), _floats(target)
    for one, other, how in both:
        modes = one.training, other.training
        if None not in modes and modes[0] != modes[1] and modes != (source.training, target.training):
            yield SettingDifference(one.path, other.path, one.kind or "", MODE, *modes, False, INFERENCE, how=how)
        mine, yours = dtypes[0].get(one.path), dtypes[1].get(other.path)
        if mine and yours and mine != yours and (len(usual[0]) > 1 or len(usual[1]) > 1):
            yield SettingDifference(one.path, other.path, one.kind or "", DTYPE, mine, yours, False, INFERENCE, how=how)


def _dtypes_of(told: NetworkSettings) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for one in told.parameters:
        if one.dtype.kind not in "biu":
            found.setdefault(one.layer, set()).add(dtype_name(one.dtype))
    return {path: tuple(sorted(names)) for path, names in found.items()}


def ordered(rows: Sequence[SettingDifference]) -> list[SettingDifference]:
    """Those that matter most first; the rest as they were."""

    def rank(row: SettingDifference) -> tuple[int, float]:
        if row.same:
            return 4, 0.0
        if row.moved:
            return -1, -row.moved
        return 2 if row.one_sided and row.when != TRAINING else _RANKS.get(row.when, 0), 0.0

    return sorted(rows, key=rank)
