"""Attention, and the blocks of transformers."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled
from ts_torch.layers._spelling import NORM, WEIGHT_BIAS, same

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


_FEED_FORWARD = {**_inside("linear1", WEIGHT_BIAS), **_inside("linear2", WEIGHT_BIAS)}
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
    "norm_first",
    d_model="self_attn.embed_dim",
    nhead="self_attn.num_heads",
    batch_first="self_attn.batch_first",
    dim_feedforward="linear1.out_features",
    bias=Spelled("linear1.bias", "is_given"),
    layer_norm_eps="norm1.eps",
    dropout="dropout.p",
    activation=Spelled("activation", "function_name"),
)

RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.MultiheadAttention", "multi_head_attention", _ATTENTION, settings=_ATTENTION_SETTINGS),
    LayerRule("torch.nn.TransformerEncoderLayer", "transformer_encoder_layer", _ENCODER, settings=_BLOCK_SETTINGS),
    LayerRule("torch.nn.TransformerDecoderLayer", "transformer_decoder_layer", _DECODER, settings=_BLOCK_SETTINGS),
)
