"""Layers without parameters: activations, dropout, shapes."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled, Spelling
from ts_mindspore.layers._spelling import same

_KEEP_PROB: dict[str, Spelling] = {"p": Spelled("keep_prob", "one_minus")}

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.Dropout", "dropout", {}, settings={"p": Spelled("dropout.keep_prob", "one_minus")}),
    LayerRule("mindspore.nn.Dropout1d", "dropout1d", {}, settings={"p": "prob"}),
    LayerRule("mindspore.nn.Dropout2d", "dropout2d", {}, settings=_KEEP_PROB),
    LayerRule("mindspore.nn.Dropout3d", "dropout3d", {}, settings=_KEEP_PROB),
    LayerRule("mindspore.nn.DropoutExt", "dropout", {}, settings=same("p")),
    LayerRule("mindspore.nn.Dropout2dExt", "dropout2d", {}, settings=same("p")),
)
