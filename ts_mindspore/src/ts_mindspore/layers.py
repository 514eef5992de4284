"""How MindSpore spells the canonical layers: attribute paths of parameters and buffers → canonical roles.

`mindspore.nn` comes first, so it is what names are translated to; `mindspore.mint.nn` uses torch's names. A role with
dots, ``"out_proj.weight"``, belongs to a part of the layer which is a layer in its own right.
"""

from __future__ import annotations

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule
from ts_core.contract.transforms import InsertAxis

_WEIGHT = {"weight": "weight"}
_WEIGHT_BIAS = {**_WEIGHT, "bias": "bias"}
_TABLE = {"embedding_table": "weight"}
_NORM = {"gamma": "scale", "beta": "bias"}
_BATCH_NORM = {"moving_mean": "mean", "moving_variance": "variance", **_NORM}
_ROOT_BATCH_NORM = {"moving_mean": "mean", "moving_variance": "variance"}
_MINT_NORM = {"weight": "scale", "bias": "bias"}
_MINT_BATCH_NORM = {
    **_MINT_NORM,
    "running_mean": "mean",
    "running_var": "variance",
    "num_batches_tracked": "batch_count",
}
_CONV1D = {"weight": InsertAxis(2)}  # runs as a 2-D convolution over a height of 1
_CELL = {name: name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
# The names of layers and directions continue without end; the two frameworks count them alike.
_RECURRENT = {
    f"{name}_l{layer}{direction}": f"{name}_l{layer}{direction}"
    for layer in range(16)
    for direction in ("", "_reverse")
    for name in _CELL
}
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


_FEED_FORWARD = {**_inside("linear1", _WEIGHT_BIAS, "dense1"), **_inside("linear2", _WEIGHT_BIAS, "dense2")}
_ENCODER = {
    **_inside("self_attn", _ATTENTION),
    **_FEED_FORWARD,
    **_inside("norm1", _NORM),
    **_inside("norm2", _NORM),
}
_DECODER = {**_ENCODER, **_inside("multihead_attn", _ATTENTION), **_inside("norm3", _NORM)}

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.Dense", "linear", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.BiDense", "bilinear", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.Conv1d", "conv1d", _WEIGHT_BIAS, _CONV1D),
    LayerRule("mindspore.nn.Conv2d", "conv2d", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.Conv3d", "conv3d", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.Conv1dTranspose", "conv_transpose1d", _WEIGHT_BIAS, _CONV1D),
    LayerRule("mindspore.nn.Conv2dTranspose", "conv_transpose2d", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.Conv3dTranspose", "conv_transpose3d", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.BatchNorm1d", "batch_norm1d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.BatchNorm2d", "batch_norm2d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.BatchNorm3d", "batch_norm3d", {f"bn2d.{name}": role for name, role in _BATCH_NORM.items()}),
    LayerRule("mindspore.nn.SyncBatchNorm", "sync_batch_norm", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.InstanceNorm1d", "instance_norm1d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.InstanceNorm2d", "instance_norm2d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.InstanceNorm3d", "instance_norm3d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.GroupNorm", "group_norm", _NORM),
    LayerRule("mindspore.nn.LayerNorm", "layer_norm", _NORM),
    LayerRule("mindspore.nn.Embedding", "embedding", _TABLE),
    LayerRule("mindspore.nn.EmbeddingLookup", "embedding", _TABLE),
    LayerRule("mindspore.nn.MultiFieldEmbeddingLookup", "embedding_bag", _TABLE),
    LayerRule("mindspore.nn.PReLU", "prelu", {"w": "slope"}, root_names={"w": "a"}),
    LayerRule("mindspore.nn.PReLU", "prelu", {"a": "slope"}),  # MindSpore 1
    LayerRule("mindspore.nn.RNN", "rnn", _RECURRENT),
    LayerRule("mindspore.nn.LSTM", "lstm", _RECURRENT),
    LayerRule("mindspore.nn.GRU", "gru", _RECURRENT),
    LayerRule("mindspore.nn.RNNCell", "rnn_cell", _CELL),
    LayerRule("mindspore.nn.LSTMCell", "lstm_cell", _CELL),
    LayerRule("mindspore.nn.GRUCell", "gru_cell", _CELL),
    LayerRule("mindspore.nn.MultiheadAttention", "multi_head_attention", _ATTENTION),
    LayerRule("mindspore.nn.TransformerEncoderLayer", "transformer_encoder_layer", _ENCODER),
    LayerRule("mindspore.nn.TransformerDecoderLayer", "transformer_decoder_layer", _DECODER),
    # The same layers with a second-order optimizer's statistics beside their weights.
    LayerRule("mindspore.nn.DenseThor", "linear", {**_WEIGHT_BIAS, "matrix_a": "matrix_a", "matrix_g": "matrix_g"}),
    LayerRule(
        "mindspore.nn.Conv2dThor",
        "conv2d",
        {
            **_WEIGHT_BIAS,
            **{n: n for n in ("a_normalizer", "g_normalizer", "matrix_a_cov", "matrix_g_cov")},
        },
    ),
    LayerRule("mindspore.nn.EmbeddingThor", "embedding", {**_TABLE, "matrix_a": "matrix_a", "matrix_g": "matrix_g"}),
    LayerRule(
        "mindspore.nn.EmbeddingLookupThor", "embedding", {**_TABLE, "matrix_a": "matrix_a", "matrix_g": "matrix_g"}
    ),
    # mindspore.mint.nn, some of whose classes are defined inside mindspore.nn under other names
    LayerRule("mindspore.nn.Linear", "linear", _WEIGHT_BIAS),
    LayerRule("mindspore.mint.nn.Conv1d", "conv1d", _WEIGHT_BIAS),
    LayerRule("mindspore.mint.nn.Conv2d", "conv2d", _WEIGHT_BIAS),
    LayerRule("mindspore.mint.nn.Conv3d", "conv3d", _WEIGHT_BIAS),
    LayerRule("mindspore.mint.nn.ConvTranspose2d", "conv_transpose2d", _WEIGHT_BIAS),
    LayerRule("mindspore.mint.nn.BatchNorm1d", "batch_norm1d", _MINT_BATCH_NORM),
    LayerRule("mindspore.mint.nn.BatchNorm2d", "batch_norm2d", _MINT_BATCH_NORM),
    LayerRule("mindspore.mint.nn.BatchNorm3d", "batch_norm3d", _MINT_BATCH_NORM),
    LayerRule("mindspore.mint.nn.SyncBatchNorm", "sync_batch_norm", _MINT_BATCH_NORM),
    LayerRule("mindspore.mint.nn.GroupNorm", "group_norm", _MINT_NORM),
    LayerRule("mindspore.nn.LayerNormExt", "layer_norm", _MINT_NORM),
    LayerRule("mindspore.nn.EmbeddingExt", "embedding", _WEIGHT),
    LayerRule("mindspore.nn.PReLUExt", "prelu", {"weight": "slope"}),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
