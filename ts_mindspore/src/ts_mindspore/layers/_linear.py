"""Linear layers, lookups, and what scales by a parameter."""

from __future__ import annotations

from typing import Any

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling
from ts_mindspore.layers._spelling import BIAS, WEIGHT, WEIGHT_BIAS, same

_TABLE = {"embedding_table": "weight"}


def _operator(activation: Any) -> object:
    """The name of an operator; an activation that is a cell is a layer of its own."""
    return None if activation is None or hasattr(activation, "cells") else type(activation).__name__.lower()


_DENSE_SETTINGS: dict[str, Spelling] = {
    "in_features": "in_channels",
    "out_features": "out_channels",
    "bias": BIAS,
    "activation": Spelled("activation", _operator, otherwise=None),
}
_LINEAR_SETTINGS = same("in_features out_features", bias=BIAS, activation=Always(None))
_LOOKUP_SETTINGS: dict[str, Spelling] = {
    "num_embeddings": "vocab_size",
    "embedding_dim": "embedding_size",
    "padding_idx": Spelled("padding_idx", otherwise=None),
    "max_norm": Spelled("max_norm", lambda most: None if most is None else float(most), otherwise=None),
    "norm_type": Always(2.0),
}

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.Dense", "linear", WEIGHT_BIAS, settings=_DENSE_SETTINGS, then=("activation",)),
    LayerRule(
        "mindspore.nn.BiDense",
        "bilinear",
        WEIGHT_BIAS,
        settings={
            "in1_features": "in1_channels",
            "in2_features": "in2_channels",
            "out_features": "out_channels",
            "bias": Spelled("bias", "is_given", otherwise=None),
        },
    ),
    LayerRule("mindspore.nn.Embedding", "embedding", _TABLE, settings=_LOOKUP_SETTINGS),
    LayerRule("mindspore.nn.EmbeddingLookup", "embedding", _TABLE, settings=_LOOKUP_SETTINGS),
    LayerRule(
        "mindspore.nn.MultiFieldEmbeddingLookup",
        "embedding_bag",
        _TABLE,
        settings={**_LOOKUP_SETTINGS, "mode": Spelled("operator", str.lower), "include_last_offset": Always(False)},
    ),
    LayerRule(
        "mindspore.nn.PReLU", "prelu", {"w": "slope"}, root_names={"w": "a"}, settings={"num_parameters": "w.shape.0"}
    ),
    LayerRule("mindspore.nn.PReLU", "prelu", {"a": "slope"}, settings={"num_parameters": "w.shape.0"}),  # MindSpore 1,
    # The same layers with a second-order optimizer's statistics beside their weights.
    LayerRule(
        "mindspore.nn.DenseThor",
        "linear",
        {**WEIGHT_BIAS, "matrix_a": "matrix_a", "matrix_g": "matrix_g"},
        settings=_DENSE_SETTINGS,
        then=("activation",),
    ),
    LayerRule(
        "mindspore.nn.EmbeddingThor",
        "embedding",
        {**_TABLE, "matrix_a": "matrix_a", "matrix_g": "matrix_g"},
        settings=_LOOKUP_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.EmbeddingLookupThor",
        "embedding",
        {**_TABLE, "matrix_a": "matrix_a", "matrix_g": "matrix_g"},
        settings=_LOOKUP_SETTINGS,
    ),
    # mindspore.mint.nn, some of whose classes are defined inside mindspore.nn under other names
    LayerRule(
        "mindspore.nn.Linear",
        "linear",
        WEIGHT_BIAS,
        settings=_LINEAR_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.EmbeddingExt",
        "embedding",
        WEIGHT,
        settings=same("num_embeddings embedding_dim padding_idx max_norm norm_type"),
    ),
    LayerRule("mindspore.nn.PReLUExt", "prelu", {"weight": "slope"}, settings={"num_parameters": "weight.shape.0"}),
)
