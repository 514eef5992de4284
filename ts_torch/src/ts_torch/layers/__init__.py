"""How torch spells the canonical layers: attribute paths of parameters and buffers → canonical roles.

A role with dots, ``"out_proj.weight"``, belongs to a part of the layer which is a layer in its own right. A class that
is not listed here is known through the classes it derives from (the lazy layers, quantisation-aware ones) or consists
of listed ones (``torch.nn.Transformer``).
"""

from __future__ import annotations

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule
from ts_torch.layers import _attention, _convolutions, _linear, _losses, _norms, _plain, _poolings, _recurrent

__all__ = ["RULES", "layer_rules"]

_TABLES = (_linear, _convolutions, _norms, _recurrent, _attention, _poolings, _plain, _losses)
RULES: tuple[LayerRule, ...] = tuple(rule for table in _TABLES for rule in table.RULES)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The tables of this folder."""
    return RULES
