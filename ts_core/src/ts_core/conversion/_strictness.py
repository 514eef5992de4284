"""What moving weights through a map refuses, and what it lets go with a warning: the same for every verb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ts_core import errors
from ts_core.mapping import ERROR, GUESS, LOST, WeightMap

_SHOWN = 3  # names that a warning lists before it counts the rest


def refusals(found: WeightMap) -> Iterator[str]:
    """What a map leaves open and must not, a line each."""
    for some in found.ambiguous:
        yield f"ambiguous: {', '.join(some.source)} -> {' or '.join(some.target)}: {some.reason}"
    for title, unmatched in (("no place for", found.unmatched_source), ("nothing for", found.unmatched_target)):
        for one in unmatched:
            if one.severity == ERROR:
                near = f" (nearest: {', '.join(one.candidates)})" if one.candidates else ""
                shape = f" {one.shape}" if one.shape else ""  # which the file of a map does not tell
                yield f"{title} {one.name}{shape}: {one.reason}{near}"


def warn(found: WeightMap) -> None:
    """Warn the user's own line of what a map lets go, or has chosen by order alone."""
    gone = [one for one in found.unmatched_source if one.severity == LOST]
    lost = [one.name for one in gone]
    if lost:
        into = [f"{one.name} from {one.folds_into.mean}" for one in gone if one.folds_into and one.folds_into.mean]
        message = (
            f"{len(lost)} of the source's biases get lost, and the outputs will differ: {_some(lost)}. The target's "
            "layers were built without bias: build them with it, or leave these out on purpose (del weight_map[name]; "
            "in the file of a map: null)"
        )
        if into:
            message += (
                f". {len(into)} of them can be subtracted from the running mean of the batch norm behind them, which "
                f"changes no output: {_some(into)} (fold_biases=True, --fold-biases)"
            )
        errors.warn(errors.WeightMapWarning(message))
    doubted = [entry for entry in found if entry.doubt]
    if doubted:
        names = _some([entry.source[0] for entry in doubted])
        errors.warn(
            errors.WeightMapWarning(f"{len(doubted)} of {len(found)} entries are doubtful: {names}. {doubted[0].doubt}")
        )
    guessed = [entry.source[0] for entry in found if entry.certainty == GUESS]
    if guessed:
        message = (
            f"{len(guessed)} of {len(found)} entries were matched by order alone: {_some(guessed)}. Check the outputs; "
            "ts.weight_map does so itself when it is given sample_inputs="
        )
        errors.warn(errors.WeightMapWarning(message))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
