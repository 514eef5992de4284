"""A bias that the target has no place for, in front of a batch norm: the norm's running mean can take it.

A batch norm subtracts its running mean, so ``norm(x + bias)`` with the mean m is ``norm(x)`` with the mean m - bias:
the outputs in evaluation mode stay what they are, if the norm works on what the layer returns, with nothing between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ts_core.contract.transforms import Combine, chain
from ts_core.errors import WeightMapError
from ts_core.mapping._alignment import Pair
from ts_core.mapping._nouns import CERTAIN, LIKELY, LOST, Fold, MapEntry, Unmatched
from ts_core.mapping._units import Unit

FOLDED = "folded"  # how such an entry was found


def folds(pairs: Iterable[Pair], left: Sequence[Unit], right: Sequence[Unit]) -> dict[str, Fold]:
    """Name of each bias of a layer whose partner has none → where it can go, or why it cannot."""
    partner = {id(pair.source): pair.target for pair in pairs}
    behind = [_following(units) for units in (left, right)]
    found = {}
    for pair in pairs:
        bias = pair.source.slots.get("bias")
        if bias is not None and "bias" not in pair.target.slots:
            norm, other = behind[0].get(id(pair.source)), behind[1].get(id(pair.target))
            problem = _problem(pair.source, norm, partner.get(id(norm)), other)
            mean = "" if problem or norm is None else norm.slots["mean"].name
            found.update({part.name: Fold(mean, problem) for part in bias.stored()})
    return found


def _following(units: Sequence[Unit]) -> dict[int, Unit]:
    """Unit → the one behind it, in the order of definition or execution."""
    order = sorted(units, key=lambda unit: unit.position)
    return {id(unit): after for unit, after in pairwise(order)}


def _problem(layer: Unit, norm: Unit | None, partner: Unit | None, other: Unit | None) -> str:
    """Why the bias of a layer cannot go into the norm behind it; empty when it can."""
    bias = layer.slots["bias"]
    if norm is None:
        return f"no batch norm follows {layer.path!r}, which is the last layer"
    if "mean" not in norm.slots or not _may_be_batch_norm(norm):
        return f"no batch norm follows {layer.path!r}, but {norm.path!r}"
    if norm.slots["mean"].shape != bias.shape or bias.parts or norm.slots["mean"].parts or norm.slots["mean"].joint:
        return f"the batch norm {norm.path!r} that follows {layer.path!r} works on other channels"
    if partner is None or "mean" not in partner.slots:
        return f"the batch norm {norm.path!r} that follows {layer.path!r} has no partner in the target"
    if partner is not other:
        return f"in the target, the partner of the batch norm {norm.path!r} does not follow that of {layer.path!r}"
    return ""


def _may_be_batch_norm(unit: Unit) -> bool:
    return not unit.families or "batch_norm" in unit.families


def folded(
    entries: Iterable[MapEntry], lost: Mapping[str, Unmatched], names: Collection[str] | None
) -> Iterator[MapEntry]:
    """The entries, where biases are subtracted from the running means behind them: these, or all that get lost.

    Args:
        entries: of the map.
        lost: what has no partner in the target, by name.
        names: of biases; None for all that get lost.

    Raises:
        WeightMapError: one of them cannot be folded; the message says why.
    """
    chosen = [name for name, one in lost.items() if one.severity == LOST] if names is None else list(names)
    into: dict[str, str] = {}  # running mean → bias
    problems = []
    for name in chosen:
        fold = lost[name].folds_into if name in lost else None
        if fold is None:
            problems.append(f"{name}: it is no bias that the target has no place for")
        elif fold.problem or fold.mean in into:
            problems.append(f"{name}: {fold.problem or f'{fold.mean} takes {into[fold.mean]} already'}")
        else:
            into[fold.mean] = name
    if problems:
        raise WeightMapError(
            "these cannot be folded into the running mean of a batch norm:\n  " + "\n  ".join(problems)
        )
    for entry in entries:  # a running mean that is joined with others is none of those chosen
        bias = into.get(entry.source[0])
        if bias is None:
            yield entry
        else:
            both = (*entry.source, bias)
            way = chain(Combine((1, -1)), entry.transform)
            certainty = LIKELY if entry.certainty == CERTAIN else entry.certainty
            yield replace(entry, source=both, transform=way, how=FOLDED, certainty=certainty)
