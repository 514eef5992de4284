"""Why: settings that explain the numbers, and what one array is to the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ts_core.location._judging import Found
from ts_core.location._nouns import CERTAIN, LIKELY, Hint
from ts_core.location._relations import relation
from ts_core.location._runs import Run
from ts_core.running import TracedCall, settings_of


def hints_for(found: Found, runs: tuple[Run, Run], before: tuple[TracedCall, TracedCall] | None) -> list[Hint]:
    """Possible causes of a finding, the most likely first."""
    return list(_hints(found, runs))


def _hints(found: Found, runs: tuple[Run, Run]) -> Iterator[Hint]:
    told = relation(found.expected, found.got, found.noise.rms if found.noise else 0.0)
    if found.where == "layer":
        yield from _settings_hints(found.pair, runs)
    if told is not None:
        yield Hint(told, certainty=CERTAIN)


def _settings_hints(pair: tuple[TracedCall, TracedCall], runs: tuple[Run, Run]) -> Iterator[Hint]:
    """Modes, kinds and settings that differ."""
    told = [
        settings_of(run.layers[call.path]) if call.path in run.layers else run.trace.settings.get(call.path, {})
        for run, call in zip(runs, pair, strict=True)
    ]
    modes = pair[0].training, pair[1].training
    if modes[0] != modes[1]:
        words = ["evaluation mode" if mode is False else "training mode" for mode in modes]
        yield Hint(f"it is in {words[0]} in the source and in {words[1]} in the target", "training", *modes, LIKELY)
    kinds = [call.kind for call in pair]
    if None not in kinds and kinds[0] != kinds[1]:
        text = f"another kind of layer: {kinds[0]} in the source, {kinds[1]} in the target (another activation or operation)"
        yield Hint(text, None, *kinds, LIKELY)
    for name, value in told[0].items():
        if name in told[1] and told[1][name] != value:
            text = f"{name} is {value} in the source and {told[1][name]} in the target"
            yield Hint(text, name, value, told[1][name], LIKELY)


def backward_hints(found: Any, runs: tuple[Run, Run]) -> Iterator[Hint]:
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
