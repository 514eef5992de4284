"""Attention, and the blocks of transformers."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled
from ts_mindspore.layers._spelling import NORM, WEIGHT_BIAS, same

_ATTENTION = {
    **{f"{part}_proj_weight": f"{part}_proj.weight" for part in ("in", "q", "k", "v")},
    "in_proj_bias": "in_proj.bias",
    "bias_k": "bias_k",
    "bias_v": "bias_v",
    "out_proj.weight": "out_proj.weight",
    "out_proj.bias": "out_proj.bias",
}


def _inside(part: str, roles: dict[str, str], spelled: str | None = None) -> dict[str, str]:
    """The roles of a part of a layer, which this framework spells otherwise than the canonical `part`."""
    return {f"{spelled or part}.{local}": f"{part}.{role}" for local, role in roles.items()}


_FEED_FORWARD = {**_inside("linear1", WEIGHT_BIAS, "dense1"), **_inside("linear2", WEIGHT_BIAS, "dense2")}
_ENCODER = {
    **_inside("self_attn", _ATTENTION),
    **_FEED_FORWARD,
    **_inside("norm1", NORM),
    **_inside("norm2", NORM),
}
_DECODER = {**_ENCODER, **_inside("multihead_attn", _ATTENTION), **_inside("norm3", NORM)}
_ATTENTION_SETTINGS = same(
    "embed_dim num_heads kdim vdim dropout add_zero_attn batch_first",
    bias=Spelled("in_proj_bias", "is_given"),
    add_bias_kv=Spelled("bias_k", "is_given"),
)
_BLOCK_SETTINGS = same(
    "d_model nhead dim_feedforward batch_first norm_first",
    dropout="dropout_num",
    layer_norm_eps="layernorm_eps",
    activation=Spelled("activation1", "function_name"),
    bias=Always(True),
)

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.MultiheadAttention", "multi_head_attention", _ATTENTION, settings=_ATTENTION_SETTINGS),
    LayerRule("mindspore.nn.TransformerEncoderLayer", "transformer_encoder_layer", _ENCODER, settings=_BLOCK_SETTINGS),
    LayerRule("mindspore.nn.TransformerDecoderLayer", "transformer_decoder_layer", _DECODER, settings=_BLOCK_SETTINGS),
)
