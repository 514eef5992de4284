"""What a search finds: findings, hints, rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from ts_core.location._difference import Difference
from ts_core.running import Line

FORWARD, BACKWARD = "forward", "backward"
LAYER, BETWEEN, WEIGHTS, LOSS = "layer", "between", "weights", "loss"
CERTAIN, LIKELY, GUESS = "certain", "likely", "guess"


@dataclass(frozen=True, slots=True)
class Hint:
    """What may be the cause of a finding.

    Attributes:
        text: in words.
        setting: the canonical name of the setting that it is, or None.
        source_value: what the source has of it.
        target_value: what the target has of it.
        certainty: ``"certain"``: it was tried, and explains the numbers; ``"likely"``; ``"guess"``.
    """

    text: str
    setting: str | None = None
    source_value: object = None
    target_value: object = None
    certainty: str = GUESS

    def __str__(self) -> str:
        return f"{self.text} ({self.certainty})"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where two networks part.

    Attributes:
        direction: ``"forward"`` or ``"backward"``.
        where: ``"layer"``: this layer does something else on equal inputs. ``"between"``: what comes before agrees, the
            input of this layer does not (backward: what comes from the loss agrees, the gradient of this layer's output
            does not). ``"weights"``: its own parameters or buffers differ through the weight map. ``"loss"``: the loss
            has another value, or another gradient.
        source: path in the source; empty for the network itself.
        target: path in the target.
        after: for ``"between"`` the paths of the last pair before it that agrees.
        call: which call of the layer it is, from 0.
        output: for ``"between"`` whether an output (of the network, of a container) is the first to differ.
        metrics: how far the target is from the source.
        noise: what rounding explains of it; None where that was not measured.
        ratio: how many times the noise it is.
        lines: source code: of the source and of the target, from the call of `after` to the call of the layer.
        hints: possible causes, the most likely first.
        tensors: for ``"weights"`` the names of the parameters, as (source, target).
    """

    direction: str
    where: str
    source: str
    target: str
    after: tuple[str, str] | tuple[()] = ()
    call: int = 0
    output: bool = False
    metrics: Difference | None = None
    noise: Difference | None = None
    ratio: float | None = None
    lines: tuple[tuple[Line, ...], tuple[Line, ...]] = ((), ())
    hints: tuple[Hint, ...] = ()
    tensors: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return False  # as a row of a report that failed

    @property
    def cause(self) -> object:
        """What findings of the same cause have in common."""
        first = self.hints[0] if self.hints else None
        if self.where == BETWEEN and all(self.lines):  # of one piece of code
            return self.direction, *((line.file, line.number) for side in self.lines for line in (side[0], side[-1]))
        if first is None or (first.setting is None and self.where != WEIGHTS):
            return id(self)
        if self.where == WEIGHTS:
            return self.where, first.text
        return self.direction, self.where, first.setting, first.source_value, first.target_value


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of calls.

    Attributes:
        source: path in the source.
        target: path in the target.
        call: which call of the layer.
        inputs: how far its inputs are from the source's; None when there are none to compare.
        outputs: how far its outputs are, on the source's inputs.
        noise: of the outputs, where it was measured.
        verdict: ``"same"``, ``"noise"``, ``"random"``, ``"harmless"``, ``"layer"``, ``"between"``.
    """

    source: str
    target: str
    call: int
    inputs: Difference | None
    outputs: Difference | None
    noise: Difference | None = None
    verdict: str = "same"
    certain: bool = field(default=True, compare=False)

    def __bool__(self) -> bool:
        return self.verdict not in (LAYER, BETWEEN)
