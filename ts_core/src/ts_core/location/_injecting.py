"""The target's run with the source's values put in at every sure pair, so that each fault shows by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ts_core.contract.tracing import Call, NewInputs, Place, leaves, mapped
from ts_core.frameworks import to_numpy
from ts_core.location._arrays import oriented, side_by_side
from ts_core.location._runs import Key
from ts_core.running import Recorder, Slot, Store, Trace, TracedCall

Array = np.ndarray[Any, np.dtype[Any]]


class Injecting(Recorder):
    """Records what the target's layers return, and lets it go on with what the source's returned.

    Args:
        net: the target.
        store: takes the arrays.
        source: the source's run.
        anchors: target path → source path of the layers that are sure to belong together.
        pairs: target call → source call, by number, of all pairs, where gradients are put in as well, and the output
            of the network is the source's.
    """

    def __init__(
        self,
        net: object,
        store: Store,
        source: Trace,
        anchors: Mapping[str, str],
        pairs: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__(net, store, "target/")
        self._pairs = dict(pairs or {})
        self._source, self._anchors = source, anchors
        self._known: dict[Key, TracedCall] = {(c.path, c.nth): c for c in source.calls if c.cls}
        self._inner: set[int] = set()
        self.partners: dict[int, TracedCall] = {}

    def enter(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object | None:
        """Note a call, and which call of the source it is."""
        kept = super().enter(call, args, kwargs)
        noted = self.calls[call.number]
        if call.parent is not None and (call.parent in self._inner or call.parent in self.partners):
            self._inner.add(call.number)
        elif call.layer is not None and call.path in self._anchors:
            partner = self._known.get((self._anchors[call.path], noted.nth))
            if partner is not None:
                self.partners[call.number] = partner
                given = noted.args, dict(noted.kwargs)
                answer = instead_of(given, (partner.args, dict(partner.kwargs)), self._source, self._store.get)
                return NewInputs(*answer)
        return kept

    def leave(self, call: Call, output: object) -> object | None:
        """Note what it returns; the source's value goes on."""
        kept = super().leave(call, output)
        partner = self.partners.get(call.number)
        if partner is None and self._pairs and call.number in self._pairs:
            partner = self._source.calls[self._pairs[call.number]]
        if partner is None:
            return kept
        answer: object = instead_of(self.calls[call.number].output, partner.output, self._source, self._store.get)
        return answer

    def gradient(self, call: Call, side: str, place: Place, gradient: object) -> object | None:
        """Note a gradient; the source's goes on, where an output of a sure pair has one."""
        super().gradient(call, side, place, gradient)
        if side != "outputs" or call.number not in self._pairs:
            return None
        partner = self._source.calls[self._pairs[call.number]]
        theirs, mine = ([p for p, _ in each.outputs] for each in (self.calls[call.number], partner))
        index = theirs.index(place) if place in theirs else len(mine)
        slot = partner.gradients.get((side, mine[index])) if index < len(mine) else None
        if slot is None:
            return None
        array, there = self._source.read(slot), to_numpy(gradient)
        return oriented(array, there).astype(there.dtype) if array.size == there.size else None


def instead_of(theirs: Any, mine: Any, source: Trace, read: Callable[[str], Array]) -> Any:
    """The target's nested values with the source's arrays where they belong; None for what has none."""
    slots = [leaf for _, leaf in leaves(theirs) if isinstance(leaf, Slot)]
    ours = [source.read(leaf) for _, leaf in leaves(mine) if isinstance(leaf, Slot)]
    chosen: dict[int, Array] = {}
    targets = [read(slot) for slot in slots]
    for a, b in side_by_side(ours, targets):
        position = next(i for i, each in enumerate(targets) if each is b and i not in chosen)
        chosen[position] = oriented(a, b).astype(b.dtype)
    count = iter(range(len(slots)))
    return mapped(theirs, lambda _, leaf: chosen.get(next(count)) if isinstance(leaf, Slot) else None)
