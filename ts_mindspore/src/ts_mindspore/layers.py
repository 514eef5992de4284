"""How MindSpore spells the canonical layers: attribute paths of parameters and buffers → canonical roles.

`mindspore.nn` comes first, so it is what names are translated to; `mindspore.mint.nn` uses torch's names. A role with
dots, ``"out_proj.weight"``, belongs to a part of the layer which is a layer in its own right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling, cut
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

# Settings


def _same(names: str, **spelled: Spelling) -> dict[str, Spelling]:
    """Settings that are attributes of the same name, and those that are not."""
    return {**{name: name for name in names.split()}, **spelled}


def _is_affine(layer: Any) -> bool:
    """A norm told not to be affine has its parameters all the same: ones and zeros, that are not trained."""
    scale, shift = layer.gamma, layer.beta
    return bool(scale.requires_grad or (scale.asnumpy() != 1).any() or (shift.asnumpy() != 0).any())


def _output_padding(
    more: int | Sequence[int], padding: Any, kernel_size: Any, stride: Any, dilation: Any, mode: str
) -> object:
    """MindSpore puts zeros behind the output where other frameworks go on computing."""
    told = set(more if isinstance(more, Sequence) else (more,))
    return (
        f"{more} of zeros"
        if told != {0}
        else cut(2, padding, 0, kernel_size, stride, dilation, mode, told="output_padding")
    )


_BIAS = Spelled("bias", "is_given")
_CHANNELS = "in_channels out_channels kernel_size stride dilation"
_CONV_SETTINGS = _same(
    _CHANNELS,
    groups="group",
    pads=Spelled("padding kernel_size stride dilation pad_mode", "pads"),
    padding_mode=Always("zeros"),
    bias=_BIAS,
)
_CUT = "kernel_size stride dilation pad_mode"
_CONV_TRANSPOSE_SETTINGS = _same(
    _CHANNELS,
    groups="group",
    pads=Spelled(f"padding output_padding {_CUT}", "cut", otherwise=0),  # in one dimension there is no output padding
    output_padding=Spelled(f"padding output_padding {_CUT}", "cut", {"told": "output_padding"}, otherwise=0),
    bias=_BIAS,
)
_CONV2D_TRANSPOSE_SETTINGS = {
    **_CONV_TRANSPOSE_SETTINGS,
    "pads": Spelled(f"padding {_CUT}", lambda padding, *window: cut(2, padding, 0, *window)),
    "output_padding": Spelled(f"output_padding padding {_CUT}", _output_padding),
}
_NORM_SETTINGS = _same("num_features eps momentum", affine=_is_affine)  # `momentum` is 1 - what the batch norm was told
_BATCH_NORM_SETTINGS = {
    **_NORM_SETTINGS,
    # None: the batch's in training, else the running ones. False: these in training as well.
    "track_running_stats": Spelled("use_batch_statistics", {None: True, True: False, False: "in training as well"}.get),
}
_BATCH_NORM3D_SETTINGS: dict[str, Spelling] = {
    **{name: f"bn2d.{name}" for name in ("num_features", "eps", "momentum")},
    "affine": lambda layer: _is_affine(layer.bn2d),
    "track_running_stats": Spelled(
        "bn2d.use_batch_statistics", {None: True, True: False, False: "in training as well"}.get
    ),
}
_INSTANCE_NORM_SETTINGS = {**_NORM_SETTINGS, "track_running_stats": Always(False)}
_LAYER_NORM_SETTINGS: dict[str, Spelling] = {
    "normalized_shape": Spelled("normalized_shape begin_norm_axis", "statistics_axes"),
    "eps": "epsilon",
    "elementwise_affine": Always(True),
    "bias": Always(True),
}
_DENSE_SETTINGS: dict[str, Spelling] = {"in_features": "in_channels", "out_features": "out_channels", "bias": _BIAS}
_LOOKUP_SETTINGS: dict[str, Spelling] = {
    "num_embeddings": "vocab_size",
    "embedding_dim": "embedding_size",
    "padding_idx": Spelled("padding_idx", otherwise=None),
    "max_norm": Spelled("max_norm", lambda most: None if most is None else float(most), otherwise=None),
    "norm_type": Always(2.0),
}
_STACK_SETTINGS = _same(
    "hidden_size num_layers batch_first dropout bidirectional", input_size="weight_ih_l0.shape.1", bias="has_bias"
)
_CELL_SETTINGS = _same("input_size hidden_size", bias="has_bias")
_ATTENTION_SETTINGS = _same(
    "embed_dim num_heads kdim vdim dropout add_zero_attn batch_first",
    bias=Spelled("in_proj_bias", "is_given"),
    add_bias_kv=Spelled("bias_k", "is_given"),
)
_BLOCK_SETTINGS = _same(
    "d_model nhead dim_feedforward batch_first norm_first",
    dropout="dropout_num",
    layer_norm_eps="layernorm_eps",
    activation=Spelled("activation1", "function_name"),
    bias=Always(True),
)
# Poolings keep some of what they were told in the operator that they run, which differs with what they were told.
_WINDOW = "kernel_size stride max_pool.dilation pad_mode"
_MAX_POOL = _same(
    "kernel_size stride",
    pads=Spelled(f"max_pool.pads|max_pool.pad_list {_WINDOW}", "pads", otherwise=None),
    dilation=Spelled("max_pool.dilation", otherwise=1),
    ceil_mode=Spelled("max_pool.ceil_mode", bool, otherwise=False),
)
_AVG_POOL = _same(
    "kernel_size stride",
    pads=Spelled(f"avg_pool.pad {_WINDOW}", "pads", otherwise=None),
    ceil_mode=Spelled("avg_pool.ceil_mode", bool, otherwise=False),
    # The operator without this choice leaves out of the average what `same` pads.
    count_include_pad=Spelled(
        "avg_pool.count_include_pad pad_mode",
        lambda counts, mode: mode != "SAME" if counts is None else counts,
        otherwise=None,
    ),
    divisor_override=Spelled("avg_pool.divisor_override", lambda divisor: divisor or None, otherwise=None),
)
_PLAIN_PADS = Spelled("padding", "pads")
_STRIDE = Spelled("stride kernel_size", "first_given")
_MINT_MAX_POOL = _same("kernel_size stride dilation ceil_mode", pads=_PLAIN_PADS)
_MINT_AVG_POOL = _same(
    "kernel_size ceil_mode count_include_pad",
    pads=_PLAIN_PADS,
    stride=_STRIDE,
    divisor_override=Spelled("divisor_override", otherwise=None),
)
_LP_POOL = _same("norm_type kernel_size ceil_mode", stride=_STRIDE)
_UNPOOL = _same("kernel_size", stride=_STRIDE, pads=_PLAIN_PADS)
_ADAPTIVE: dict[str, Spelling] = {
    "output_size": Spelled("output_size|adaptive_avgpool2d.output_size|adaptive_avg_pool3d.output_size", "kept_axes")
}
_NONLINEARITY = Spelled("rnn", lambda runs: "relu" if type(runs).__name__ == "_DynamicRNNRelu" else "tanh")
_MINT_CONV_SETTINGS = _same(
    f"{_CHANNELS} groups padding_mode", pads=Spelled("padding kernel_size stride dilation", "pads"), bias=_BIAS
)
_MINT_CUT = "padding output_padding kernel_size stride dilation"
_MINT_CONV_TRANSPOSE_SETTINGS = _same(
    f"{_CHANNELS} groups",
    pads=Spelled(_MINT_CUT, "cut"),
    output_padding=Spelled(_MINT_CUT, "cut", {"told": "output_padding"}),
    bias=_BIAS,
)
_MINT_BATCH_NORM_SETTINGS = _same("num_features eps momentum affine track_running_stats")
_KEEP_PROB: dict[str, Spelling] = {"p": Spelled("keep_prob", "one_minus")}

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.Dense", "linear", _WEIGHT_BIAS, settings=_DENSE_SETTINGS),
    LayerRule(
        "mindspore.nn.BiDense",
        "bilinear",
        _WEIGHT_BIAS,
        settings={
            "in1_features": "in1_channels",
            "in2_features": "in2_channels",
            "out_features": "out_channels",
            "bias": Spelled("bias", "is_given", otherwise=None),
        },
    ),
    LayerRule("mindspore.nn.Conv1d", "conv1d", _WEIGHT_BIAS, _CONV1D, settings=_CONV_SETTINGS),
    LayerRule("mindspore.nn.Conv2d", "conv2d", _WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("mindspore.nn.Conv3d", "conv3d", _WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule(
        "mindspore.nn.Conv1dTranspose", "conv_transpose1d", _WEIGHT_BIAS, _CONV1D, settings=_CONV_TRANSPOSE_SETTINGS
    ),
    LayerRule("mindspore.nn.Conv2dTranspose", "conv_transpose2d", _WEIGHT_BIAS, settings=_CONV2D_TRANSPOSE_SETTINGS),
    LayerRule("mindspore.nn.Conv3dTranspose", "conv_transpose3d", _WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule(
        "mindspore.nn.BatchNorm1d",
        "batch_norm1d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_BATCH_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.BatchNorm2d",
        "batch_norm2d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_BATCH_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.BatchNorm3d",
        "batch_norm3d",
        {f"bn2d.{name}": role for name, role in _BATCH_NORM.items()},
        settings=_BATCH_NORM3D_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.SyncBatchNorm",
        "sync_batch_norm",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_BATCH_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.InstanceNorm1d",
        "instance_norm1d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_INSTANCE_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.InstanceNorm2d",
        "instance_norm2d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_INSTANCE_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.InstanceNorm3d",
        "instance_norm3d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_INSTANCE_NORM_SETTINGS,
    ),
    LayerRule("mindspore.nn.GroupNorm", "group_norm", _NORM, settings=_same("num_groups num_channels eps affine")),
    LayerRule("mindspore.nn.LayerNorm", "layer_norm", _NORM, settings=_LAYER_NORM_SETTINGS),
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
    LayerRule("mindspore.nn.PReLU", "prelu", {"a": "slope"}, settings={"num_parameters": "w.shape.0"}),  # MindSpore 1
    LayerRule("mindspore.nn.RNN", "rnn", _RECURRENT, settings={**_STACK_SETTINGS, "nonlinearity": _NONLINEARITY}),
    LayerRule("mindspore.nn.LSTM", "lstm", _RECURRENT, settings={**_STACK_SETTINGS, "proj_size": Always(0)}),
    LayerRule("mindspore.nn.GRU", "gru", _RECURRENT, settings=_STACK_SETTINGS),
    LayerRule("mindspore.nn.RNNCell", "rnn_cell", _CELL, settings=_same("nonlinearity", **_CELL_SETTINGS)),
    LayerRule("mindspore.nn.LSTMCell", "lstm_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("mindspore.nn.GRUCell", "gru_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("mindspore.nn.MultiheadAttention", "multi_head_attention", _ATTENTION, settings=_ATTENTION_SETTINGS),
    LayerRule("mindspore.nn.TransformerEncoderLayer", "transformer_encoder_layer", _ENCODER, settings=_BLOCK_SETTINGS),
    LayerRule("mindspore.nn.TransformerDecoderLayer", "transformer_decoder_layer", _DECODER, settings=_BLOCK_SETTINGS),
    # The same layers with a second-order optimizer's statistics beside their weights.
    LayerRule(
        "mindspore.nn.DenseThor",
        "linear",
        {**_WEIGHT_BIAS, "matrix_a": "matrix_a", "matrix_g": "matrix_g"},
        settings=_DENSE_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.Conv2dThor",
        "conv2d",
        {
            **_WEIGHT_BIAS,
            **{n: n for n in ("a_normalizer", "g_normalizer", "matrix_a_cov", "matrix_g_cov")},
        },
        settings=_CONV_SETTINGS,
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
    LayerRule("mindspore.nn.Linear", "linear", _WEIGHT_BIAS, settings=_same("in_features out_features", bias=_BIAS)),
    LayerRule("mindspore.mint.nn.Conv1d", "conv1d", _WEIGHT_BIAS, settings=_MINT_CONV_SETTINGS),
    LayerRule("mindspore.mint.nn.Conv2d", "conv2d", _WEIGHT_BIAS, settings=_MINT_CONV_SETTINGS),
    LayerRule("mindspore.mint.nn.Conv3d", "conv3d", _WEIGHT_BIAS, settings=_MINT_CONV_SETTINGS),
    LayerRule(
        "mindspore.mint.nn.ConvTranspose2d", "conv_transpose2d", _WEIGHT_BIAS, settings=_MINT_CONV_TRANSPOSE_SETTINGS
    ),
    LayerRule("mindspore.mint.nn.BatchNorm1d", "batch_norm1d", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS),
    LayerRule("mindspore.mint.nn.BatchNorm2d", "batch_norm2d", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS),
    LayerRule("mindspore.mint.nn.BatchNorm3d", "batch_norm3d", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS),
    LayerRule(
        "mindspore.mint.nn.SyncBatchNorm", "sync_batch_norm", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS
    ),
    LayerRule(
        "mindspore.mint.nn.GroupNorm", "group_norm", _MINT_NORM, settings=_same("num_groups num_channels eps affine")
    ),
    LayerRule(
        "mindspore.nn.LayerNormExt",
        "layer_norm",
        _MINT_NORM,
        settings=_same("normalized_shape eps elementwise_affine", bias=_BIAS),
    ),
    LayerRule(
        "mindspore.nn.EmbeddingExt",
        "embedding",
        _WEIGHT,
        settings=_same("num_embeddings embedding_dim padding_idx max_norm norm_type"),
    ),
    LayerRule("mindspore.nn.PReLUExt", "prelu", {"weight": "slope"}, settings={"num_parameters": "weight.shape.0"}),
    # layers without parameters
    *(
        rule
        for n in (1, 2, 3)
        for rule in (
            LayerRule(f"mindspore.nn.MaxPool{n}d", f"max_pool{n}d", {}, settings=_MAX_POOL),
            LayerRule(f"mindspore.nn.AvgPool{n}d", f"avg_pool{n}d", {}, settings=_AVG_POOL),
            LayerRule(f"mindspore.nn.MaxUnpool{n}d", f"max_unpool{n}d", {}, settings=_UNPOOL),
            LayerRule(f"mindspore.nn.AdaptiveAvgPool{n}d", f"adaptive_avg_pool{n}d", {}, settings=_ADAPTIVE),
            LayerRule(f"mindspore.mint.nn.AdaptiveAvgPool{n}d", f"adaptive_avg_pool{n}d", {}, settings=_ADAPTIVE),
            LayerRule(f"mindspore.nn.AvgPool{n}dExt", f"avg_pool{n}d", {}, settings=_MINT_AVG_POOL),
        )
    ),
    LayerRule("mindspore.nn.LPPool1d", "lp_pool1d", {}, settings=_LP_POOL),
    LayerRule("mindspore.nn.LPPool2d", "lp_pool2d", {}, settings=_LP_POOL),
    LayerRule("mindspore.nn.MaxPool2dExt", "max_pool2d", {}, settings=_MINT_MAX_POOL),
    LayerRule("mindspore.mint.nn.MaxUnpool2d", "max_unpool2d", {}, settings=_UNPOOL),
    LayerRule("mindspore.nn.AdaptiveMaxPool1d", "adaptive_max_pool1d", {}, settings=_ADAPTIVE),
    LayerRule("mindspore.nn.AdaptiveMaxPool2d", "adaptive_max_pool2d", {}, settings=_ADAPTIVE),
    LayerRule(
        "mindspore.nn.AdaptiveMaxPool3d",
        "adaptive_max_pool3d",
        {},
        settings={"output_size": Spelled("output_size", lambda sizes: sizes.asnumpy().tolist())},
    ),
    LayerRule("mindspore.mint.nn.AdaptiveMaxPool1d", "adaptive_max_pool1d", {}, settings=_ADAPTIVE),
    LayerRule("mindspore.nn.Dropout", "dropout", {}, settings={"p": Spelled("dropout.keep_prob", "one_minus")}),
    LayerRule("mindspore.nn.Dropout1d", "dropout1d", {}, settings={"p": "prob"}),
    LayerRule("mindspore.nn.Dropout2d", "dropout2d", {}, settings=_KEEP_PROB),
    LayerRule("mindspore.nn.Dropout3d", "dropout3d", {}, settings=_KEEP_PROB),
    LayerRule("mindspore.nn.DropoutExt", "dropout", {}, settings=_same("p")),
    LayerRule("mindspore.nn.Dropout2dExt", "dropout2d", {}, settings=_same("p")),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
