"""Why: settings that explain the numbers, and what one array is to the other."""

from __future__ import annotations

from collections.abc import Iterator

from ts_core.location._forward import Found
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
        mine, theirs = (
            settings_of(run.layers[call.path]) if call.path in run.layers else run.trace.settings.get(call.path, {})
            for run, call in zip(runs, found.pair, strict=True)
        )
        if found.pair[0].training != found.pair[1].training:
            yield Hint(
                "the layer is in training mode on one side and in evaluation mode on the other",
                "training",
                found.pair[0].training,
                found.pair[1].training,
                LIKELY,
            )
        kinds = [call.kind for call in found.pair]
        if None not in kinds and kinds[0] != kinds[1]:
            yield Hint(
                f"another kind of layer: {kinds[0]} in the source, {kinds[1]} in the target: another activation or operation",
                None,
                kinds[0],
                kinds[1],
                LIKELY,
            )
        for name, value in mine.items():
            if name in theirs and theirs[name] != value:
                yield Hint(
                    f"{name} is {value} in the source and {theirs[name]} in the target",
                    name,
                    value,
                    theirs[name],
                    LIKELY,
                )
    if told is not None:
        yield Hint(told, certainty=CERTAIN)
