"""Why: settings that explain the numbers, and what one array is to the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ts_core.configuration import TRAINING, differences, shown
from ts_core.configuration import Difference as SettingFound
from ts_core.contract.settings import SettingValue
from ts_core.frameworks import ToldLayer, settings
from ts_core.location import _backward
from ts_core.location._arrays import furthest, side_by_side
from ts_core.location._judging import Arrays, Found, Pair
from ts_core.location._nouns import CERTAIN, GUESS, LIKELY, Hint
from ts_core.location._relations import relation
from ts_core.location._runs import Run
from ts_core.running import TracedCall

_PLAIN = (bool, int, float, str, tuple)
_EXPLAINS = 10.0  # a setting explains a difference if this part of it at most is left


def hints_for(found: Found, runs: tuple[Run, Run], before: Pair | None) -> list[Hint]:
    """Possible causes of a finding, the most likely first."""
    return list(_hints(found, runs))


def _hints(found: Found, runs: tuple[Run, Run]) -> Iterator[Hint]:
    told = relation(found.expected, found.got, found.noise.rms if found.noise else 0.0)
    if found.where == "layer":
        yield from _settings_hints(found.pair, runs, found.outputs)
    if told is not None:
        yield Hint(told, certainty=CERTAIN)


def _settings_hints(pair: Pair, runs: tuple[Run, Run], outputs: Arrays = ()) -> Iterator[Hint]:  # type: ignore[assignment]
    """Modes, kinds and settings that differ in meaning: those that were tried and explain the numbers first."""
    modes = pair[0].training, pair[1].training
    if modes[0] != modes[1]:
        words = ["evaluation mode" if mode is False else "training mode" for mode in modes]
        yield Hint(f"it is in {words[0]} in the source and in {words[1]} in the target", "training", *modes, LIKELY)
    told = [_told(run, call) for run, call in zip(runs, pair, strict=True)]
    shape = next((array.shape for array in runs[0].inputs(pair[0])), None)
    found = [each for each in differences(told[0], told[1], shape) if not each.same]
    hints = [_setting_hint(each, pair, runs, outputs) for each in found]
    weights = {CERTAIN: 0, LIKELY: 1, GUESS: 2}
    yield from sorted(hints, key=lambda hint: weights[hint.certainty])


def _told(run: Run, call: TracedCall) -> ToldLayer:
    known = {
        name: SettingValue(call.kind or "", _tuples(value), "", value)
        for name, value in run.trace.settings.get(call.path, {}).items()
    }
    return ToldLayer(call.path, call.cls, call.kind, known, call.training)


def _tuples(value: Any) -> Any:
    """As JSON has lists for them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _setting_hint(found: SettingFound, pair: Pair, runs: tuple[Run, Run], outputs: Arrays) -> Hint:
    ours, theirs = shown(found.ours), shown(found.theirs)
    if found.setting == "kind":
        text = f"another kind of layer: {ours} in the source, {theirs} in the target (another activation or operation)"
        return Hint(text, None, found.ours, found.theirs, LIKELY)
    at = f" (it shows at {found.sizes})" if found.sizes else ""
    text = f"{found.setting} is {ours} in the source and {theirs} in the target{at}"
    certainty = GUESS if found.when == TRAINING and not pair[1].training else LIKELY
    tried = _tried(found, pair, runs, outputs) if certainty == LIKELY and outputs else None
    if tried:
        text += "; tried: with the target's, the source's layer computes the same"
        certainty = CERTAIN
    elif tried is False:
        certainty = GUESS
    return Hint(text, found.setting, found.ours, found.theirs, certainty)


def _tried(found: SettingFound, pair: Pair, runs: tuple[Run, Run], outputs: Arrays) -> bool | None:
    """Whether the source's layer with the target's setting computes what the target's does; None: it was not tried."""
    layer = runs[0].layers.get(pair[0].path)
    spelled = None if layer is None else (settings(layer) or {}).get(found.setting)
    if spelled is None or not isinstance(spelled.raw, _PLAIN) or not spelled.spelled.isidentifier():
        return None
    if spelled.raw != spelled.value:  # it is spelled otherwise than it is meant
        return None
    changed = runs[0].layer(pair[0], runs[0].inputs(pair[0]), double=True, told={spelled.spelled: found.theirs})
    if changed is None:
        return None
    before, after = (
        furthest(side_by_side(some, [b for _, b in outputs]))[0] for some in ([a for a, _ in outputs], changed.outputs)
    )
    return before is not None and after is not None and after.rms < before.rms / _EXPLAINS


def backward_hints(found: _backward.Found, runs: tuple[Run, Run]) -> Iterator[Hint]:
    """Possible causes of a finding of the backward search."""
    what = f"its parameter {found.name}" if found.name else "its output" if found.where == "between" else "its input"
    if found.frozen:
        yield Hint(f"{what} is not trainable in the target, so it gets no gradient", None, True, False, CERTAIN)
    elif found.got is None or not np.any(found.got):
        yield Hint(
            f"no gradient reaches {what} in the target: something stops it (stop_gradient, detach, no_grad)",
            certainty=CERTAIN,
        )
    elif not np.any(found.expected):
        yield Hint(
            f"no gradient reaches {what} in the source: something stops it there (detach, no_grad)", certainty=CERTAIN
        )
    else:
        told = relation(found.expected, found.got, found.noise.rms if found.noise else 0.0)
        if told is not None:
            yield Hint(f"the gradient of {what}: {told}", certainty=CERTAIN)
    if found.where == "layer":
        yield from _settings_hints(found.pair, runs)
