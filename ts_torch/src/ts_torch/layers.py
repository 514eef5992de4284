"""How torch spells the canonical layers: attribute paths of parameters and buffers → canonical roles.

A role with dots, ``"out_proj.weight"``, belongs to a part of the layer which is a layer in its own right. A class that
is not listed here is known through the classes it derives from (the lazy layers, quantisation-aware ones) or consists
of listed ones (``torch.nn.Transformer``).
"""

from __future__ import annotations

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule

_WEIGHT = {"weight": "weight"}
_WEIGHT_BIAS = {**_WEIGHT, "bias": "bias"}
_NORM = {"weight": "scale", "bias": "bias"}
_BATCH_NORM = {**_NORM, "running_mean": "mean", "running_var": "variance", "num_batches_tracked": "batch_count"}
_CELL = {name: name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
# The names of layers and directions continue without end; the two frameworks count them alike.
_RECURRENT = {
    f"{name}_l{layer}{direction}": f"{name}_l{layer}{direction}"
    for layer in range(16)
    for direction in ("", "_reverse")
    for name in _CELL
}
_PROJECTIONS = {name: name for layer in range(16) for name in (f"weight_hr_l{layer}", f"weight_hr_l{layer}_reverse")}
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


_FEED_FORWARD = {**_inside("linear1", _WEIGHT_BIAS), **_inside("linear2", _WEIGHT_BIAS)}
_ENCODER = {
    **_inside("self_attn", _ATTENTION),
    **_FEED_FORWARD,
    **_inside("norm1", _NORM),
    **_inside("norm2", _NORM),
}
_DECODER = {**_ENCODER, **_inside("multihead_attn", _ATTENTION), **_inside("norm3", _NORM)}

RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.Linear", "linear", _WEIGHT_BIAS),
    LayerRule("torch.nn.Bilinear", "bilinear", _WEIGHT_BIAS),
    LayerRule("torch.nn.Conv1d", "conv1d", _WEIGHT_BIAS),
    LayerRule("torch.nn.Conv2d", "conv2d", _WEIGHT_BIAS),
    LayerRule("torch.nn.Conv3d", "conv3d", _WEIGHT_BIAS),
    LayerRule("torch.nn.ConvTranspose1d", "conv_transpose1d", _WEIGHT_BIAS),
    LayerRule("torch.nn.ConvTranspose2d", "conv_transpose2d", _WEIGHT_BIAS),
    LayerRule("torch.nn.ConvTranspose3d", "conv_transpose3d", _WEIGHT_BIAS),
    LayerRule("torch.nn.BatchNorm1d", "batch_norm1d", _BATCH_NORM),
    LayerRule("torch.nn.BatchNorm2d", "batch_norm2d", _BATCH_NORM),
    LayerRule("torch.nn.BatchNorm3d", "batch_norm3d", _BATCH_NORM),
    LayerRule("torch.nn.SyncBatchNorm", "sync_batch_norm", _BATCH_NORM),
    LayerRule("torch.nn.InstanceNorm1d", "instance_norm1d", _BATCH_NORM),
    LayerRule("torch.nn.InstanceNorm2d", "instance_norm2d", _BATCH_NORM),
    LayerRule("torch.nn.InstanceNorm3d", "instance_norm3d", _BATCH_NORM),
    LayerRule("torch.nn.GroupNorm", "group_norm", _NORM),
    LayerRule("torch.nn.LayerNorm", "layer_norm", _NORM),
    LayerRule("torch.nn.RMSNorm", "rms_norm", {"weight": "scale"}),
    LayerRule("torch.nn.Embedding", "embedding", _WEIGHT),
    LayerRule("torch.nn.EmbeddingBag", "embedding_bag", _WEIGHT),
    LayerRule("torch.nn.PReLU", "prelu", {"weight": "slope"}),
    LayerRule("torch.nn.RNN", "rnn", _RECURRENT),
    LayerRule("torch.nn.LSTM", "lstm", {**_RECURRENT, **_PROJECTIONS}),
    LayerRule("torch.nn.GRU", "gru", _RECURRENT),
    LayerRule("torch.nn.RNNBase", "rnn", _RECURRENT),
    LayerRule("torch.nn.RNNCell", "rnn_cell", _CELL),
    LayerRule("torch.nn.LSTMCell", "lstm_cell", _CELL),
    LayerRule("torch.nn.GRUCell", "gru_cell", _CELL),
    LayerRule("torch.nn.modules.rnn.RNNCellBase", "rnn_cell", _CELL),
    LayerRule("torch.nn.MultiheadAttention", "multi_head_attention", _ATTENTION),
    LayerRule("torch.nn.TransformerEncoderLayer", "transformer_encoder_layer", _ENCODER),
    LayerRule("torch.nn.TransformerDecoderLayer", "transformer_decoder_layer", _DECODER),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
