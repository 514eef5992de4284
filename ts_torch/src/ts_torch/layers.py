"""How torch spells the canonical layers: attribute paths of parameters and buffers → canonical roles.

A role with dots, ``"out_proj.weight"``, belongs to a part of the layer which is a layer in its own right. A class that
is not listed here is known through the classes it derives from (the lazy layers, quantisation-aware ones) or consists
of listed ones (``torch.nn.Transformer``).
"""

from __future__ import annotations

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled, Spelling

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

# Settings, which have torch's names; what follows says where an attribute does not.


def _same(names: str, **spelled: Spelling) -> dict[str, Spelling]:
    """Settings that are attributes of the same name, and those that are not."""
    return {**{name: name for name in names.split()}, **spelled}


_BIAS = Spelled("bias", "is_given")
_PADS = Spelled("padding kernel_size stride dilation", "pads")
_CUT = "padding output_padding kernel_size stride dilation"
_CHANNELS = "in_channels out_channels kernel_size stride dilation groups"
_CONV_SETTINGS = _same(f"{_CHANNELS} padding_mode", pads=_PADS, bias=_BIAS)
_CONV_TRANSPOSE_SETTINGS = _same(
    _CHANNELS,
    pads=Spelled(_CUT, "cut", {"told": "pads"}),
    output_padding=Spelled(_CUT, "cut", {"told": "output_padding"}),
    bias=_BIAS,
)
_BATCH_NORM_SETTINGS = _same("num_features eps momentum affine track_running_stats")
_LOOKUP_SETTINGS = _same("num_embeddings embedding_dim padding_idx max_norm norm_type")
_STACK_SETTINGS = _same("input_size hidden_size bias num_layers batch_first dropout bidirectional")
_CELL_SETTINGS = _same("input_size hidden_size bias")
_ATTENTION_SETTINGS = _same(
    "embed_dim num_heads kdim vdim dropout add_zero_attn batch_first",
    bias=Spelled("in_proj_bias", "is_given"),
    add_bias_kv=Spelled("bias_k", "is_given"),
)
_BLOCK_SETTINGS = _same(
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
_WINDOW = _same("kernel_size ceil_mode", stride=Spelled("stride kernel_size", "first_given"))
_PLAIN_PADS = Spelled("padding", "pads")
_MAX_POOL = _same("dilation", pads=_PLAIN_PADS, **_WINDOW)
_AVG_POOL = _same(
    "count_include_pad",
    pads=_PLAIN_PADS,
    divisor_override=Spelled("divisor_override", otherwise=None),  # one dimension has none
    **_WINDOW,
)
_UNPOOL = _same("kernel_size stride", pads=_PLAIN_PADS)
_ADAPTIVE = _same("", output_size=Spelled("output_size", "kept_axes"))
_NONLINEARITY = Spelled("mode", lambda mode: "relu" if mode == "RNN_RELU" else "tanh")
RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.Linear", "linear", _WEIGHT_BIAS, settings=_same("in_features out_features", bias=_BIAS)),
    LayerRule(
        "torch.nn.Bilinear",
        "bilinear",
        _WEIGHT_BIAS,
        settings=_same("in1_features in2_features out_features", bias=_BIAS),
    ),
    LayerRule("torch.nn.Conv1d", "conv1d", _WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("torch.nn.Conv2d", "conv2d", _WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("torch.nn.Conv3d", "conv3d", _WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("torch.nn.ConvTranspose1d", "conv_transpose1d", _WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule("torch.nn.ConvTranspose2d", "conv_transpose2d", _WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule("torch.nn.ConvTranspose3d", "conv_transpose3d", _WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule("torch.nn.BatchNorm1d", "batch_norm1d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.BatchNorm2d", "batch_norm2d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.BatchNorm3d", "batch_norm3d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.SyncBatchNorm", "sync_batch_norm", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.InstanceNorm1d", "instance_norm1d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.InstanceNorm2d", "instance_norm2d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.InstanceNorm3d", "instance_norm3d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.GroupNorm", "group_norm", _NORM, settings=_same("num_groups num_channels eps affine")),
    LayerRule(
        "torch.nn.LayerNorm", "layer_norm", _NORM, settings=_same("normalized_shape eps elementwise_affine", bias=_BIAS)
    ),
    LayerRule(
        "torch.nn.RMSNorm", "rms_norm", {"weight": "scale"}, settings=_same("normalized_shape eps elementwise_affine")
    ),
    LayerRule("torch.nn.Embedding", "embedding", _WEIGHT, settings=_LOOKUP_SETTINGS),
    LayerRule(
        "torch.nn.EmbeddingBag",
        "embedding_bag",
        _WEIGHT,
        settings={**_LOOKUP_SETTINGS, **_same("mode include_last_offset")},
    ),
    LayerRule("torch.nn.PReLU", "prelu", {"weight": "slope"}, settings=_same("num_parameters")),
    LayerRule("torch.nn.RNN", "rnn", _RECURRENT, settings={**_STACK_SETTINGS, "nonlinearity": _NONLINEARITY}),
    LayerRule("torch.nn.LSTM", "lstm", {**_RECURRENT, **_PROJECTIONS}, settings=_same("proj_size", **_STACK_SETTINGS)),
    LayerRule("torch.nn.GRU", "gru", _RECURRENT, settings=_STACK_SETTINGS),
    LayerRule("torch.nn.RNNBase", "rnn", _RECURRENT, settings={**_STACK_SETTINGS, "nonlinearity": _NONLINEARITY}),
    LayerRule("torch.nn.RNNCell", "rnn_cell", _CELL, settings=_same("nonlinearity", **_CELL_SETTINGS)),
    LayerRule("torch.nn.LSTMCell", "lstm_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("torch.nn.GRUCell", "gru_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("torch.nn.modules.rnn.RNNCellBase", "rnn_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("torch.nn.MultiheadAttention", "multi_head_attention", _ATTENTION, settings=_ATTENTION_SETTINGS),
    LayerRule("torch.nn.TransformerEncoderLayer", "transformer_encoder_layer", _ENCODER, settings=_BLOCK_SETTINGS),
    LayerRule("torch.nn.TransformerDecoderLayer", "transformer_decoder_layer", _DECODER, settings=_BLOCK_SETTINGS),
    # layers without parameters
    *(
        rule
        for n in (1, 2, 3)
        for rule in (
            LayerRule(f"torch.nn.MaxPool{n}d", f"max_pool{n}d", {}, settings=_MAX_POOL),
            LayerRule(f"torch.nn.AvgPool{n}d", f"avg_pool{n}d", {}, settings=_AVG_POOL),
            LayerRule(f"torch.nn.LPPool{n}d", f"lp_pool{n}d", {}, settings=_same("norm_type", **_WINDOW)),
            LayerRule(f"torch.nn.MaxUnpool{n}d", f"max_unpool{n}d", {}, settings=_UNPOOL),
            LayerRule(f"torch.nn.AdaptiveMaxPool{n}d", f"adaptive_max_pool{n}d", {}, settings=_ADAPTIVE),
            LayerRule(f"torch.nn.AdaptiveAvgPool{n}d", f"adaptive_avg_pool{n}d", {}, settings=_ADAPTIVE),
            LayerRule(f"torch.nn.Dropout{n}d", f"dropout{n}d", {}, settings=_same("p")),
        )
    ),
    LayerRule("torch.nn.Dropout", "dropout", {}, settings=_same("p")),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
