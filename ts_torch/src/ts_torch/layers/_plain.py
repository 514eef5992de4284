"""Layers without parameters: activations, dropout, shapes."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_torch.layers._spelling import same

RULES: tuple[LayerRule, ...] = (
    *(
        rule
        for n in (1, 2, 3)
        for rule in (LayerRule(f"torch.nn.Dropout{n}d", f"dropout{n}d", {}, settings=same("p")),)
    ),
    LayerRule("torch.nn.Dropout", "dropout", {}, settings=same("p")),
)
