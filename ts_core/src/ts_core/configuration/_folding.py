"""A layer that pads with zeros before a convolution or a pooling: its pads are those of the layer behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ts_core.configuration._meaning import normal
from ts_core.configuration._windows import has_windows
from ts_core.contract.layers import KINDS
from ts_core.frameworks import ToldLayer

# What never gives a number below zero, so that zeros around it are no more than a maximum takes anyway.
_NEVER_NEGATIVE = frozenset(["relu", "relu6", "sigmoid", "hardsigmoid", "softplus", "softmax"])


@dataclass(frozen=True, slots=True)
class Folded:
    """A layer with the pads of the one before it.

    Attributes:
        layer: with these pads among its settings.
        by: the path of the layer that pads.
        zeros: whether a maximum is taken over these zeros, which may be more than what is in the window.
    """

    layer: ToldLayer
    by: str
    zeros: bool


def folded(layers: Sequence[ToldLayer], spare: Iterable[str]) -> Mapping[str, Folded]:
    """The layers, by path, before which stands a layer without a partner that pads with zeros."""
    alone = set(spare)
    found = {}
    for place, (pad, layer) in enumerate(pairwise(layers)):
        kind, told = normal(pad)
        pads = told.get("pads")
        if pad.path not in alone or not _pads_with_zeros(kind, told) or layer.path in alone:
            continue
        own = layer.settings.get("pads")
        if layer.kind is None or not has_windows(layer.kind) or own is None:
            continue
        if not isinstance(own.value, tuple) or not isinstance(pads, tuple) or len(own.value) != len(pads):
            continue
        both = tuple((a + c, b + d) for (a, b), (c, d) in zip(own.value, pads, strict=True))
        settings = {**layer.settings, "pads": replace(own, value=both)}
        family = KINDS[layer.kind].family
        if family == "avg_pool" and not any(map(any, own.value)):  # these zeros are numbers like others
            settings["count_include_pad"] = replace(settings["count_include_pad"], value=True)
        before = layers[place - 1].kind if place else None
        zeros = family == "max_pool" and before not in _NEVER_NEGATIVE
        found[layer.path] = Folded(replace(layer, settings=settings), pad.path, zeros)
    return found


def _pads_with_zeros(kind: str | None, told: Mapping[str, object]) -> bool:
    return kind in KINDS and KINDS[str(kind)].family == "constant_pad" and told["value"] == 0
