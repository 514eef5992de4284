"""Linear layers, lookups, and what scales by a parameter."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always
from ts_torch.layers._spelling import BIAS, WEIGHT, WEIGHT_BIAS, same

_LINEAR_SETTINGS = same("in_features out_features", bias=BIAS, activation=Always(None))
_LOOKUP_SETTINGS = same("num_embeddings embedding_dim padding_idx max_norm norm_type")

RULES: tuple[LayerRule, ...] = (
    LayerRule(
        "torch.nn.Linear",
        "linear",
        WEIGHT_BIAS,
        settings=_LINEAR_SETTINGS,
    ),
    LayerRule(
        "torch.nn.Bilinear",
        "bilinear",
        WEIGHT_BIAS,
        settings=same("in1_features in2_features out_features", bias=BIAS),
    ),
    LayerRule("torch.nn.Embedding", "embedding", WEIGHT, settings=_LOOKUP_SETTINGS),
    LayerRule(
        "torch.nn.EmbeddingBag",
        "embedding_bag",
        WEIGHT,
        settings={**_LOOKUP_SETTINGS, **same("mode include_last_offset")},
    ),
    LayerRule("torch.nn.PReLU", "prelu", {"weight": "slope"}, settings=same("num_parameters")),
)
