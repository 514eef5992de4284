"""What a weight map is made of: its steps, what has no partner, and what could go several ways."""

from __future__ import annotations

from dataclasses import dataclass

from ts_core.contract.transforms import Transform

CERTAIN, LIKELY, GUESS = "certain", "likely", "guess"
ERROR, LOST, HARMLESS = "error", "lost", "harmless"

UNKNOWN_LAYER = "unknown layer: name kept"  # how a tensor was translated that no rule knows

LEFT_OUT = "the map leaves it out"  # the reason of a tensor that the user left out on purpose


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One step of a weight map: these source tensors become those target tensors.

    Attributes:
        source: names in the source; several when they are fused.
        target: names in the target; several when one is split.
        transform: the change of layout, ``None`` when the arrays stay as they are.
        how: how it was found: ``"rule"``, :data:`UNKNOWN_LAYER` where a translation knows none, ``"equal name"``,
            ``"alignment"``, ``"order"``, ``"execution"``, ``"folded"``, ``"user"`` or ``"file"``.
        certainty: ``"certain"``, ``"likely"`` or ``"guess"``.
        doubt: what speaks against it, or differs all the same; empty when nothing does.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    transform: Transform | None = None
    how: str = "user"
    certainty: str = CERTAIN
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Fold:
    """Where a bias in front of a batch norm can go: `mean`, the name of the norm's running mean; else `problem`."""

    mean: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A tensor of one side that has no partner on the other.

    Attributes:
        name: of the tensor.
        shape: of the tensor.
        reason: why it has no partner, in words.
        candidates: the names on the other side that came nearest.
        severity: ``"error"``; ``"lost"`` for the bias of a linear layer or convolution whose partner was built without
            one; or ``"harmless"`` when the other side cannot have it or does not need it: a counter, a constant index.
        folds_into: of a lost bias, the running mean in the source from which it can be subtracted instead, or why there
            is none.
    """

    name: str
    shape: tuple[int, ...]
    reason: str
    candidates: tuple[str, ...] = ()
    severity: str = ERROR
    folds_into: Fold | None = None

    @property
    def harmless(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.severity == HARMLESS


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Tensors that fit each other equally well in more than one way.

    Attributes:
        source: names in the source.
        target: names in the target, each as good a partner as the others.
        reason: what leaves the choice open, in words.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    reason: str
