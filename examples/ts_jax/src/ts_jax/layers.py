"""How Flax NNX spells the canonical layers.

Flax multiplies from the left, so a kernel is (in, out), and keeps channels last, so a window comes before the channels:
the layouts below say so. One class serves convolutions of every dimension, and a normalisation does not know the
dimension of its input, so these rules ask the layer, or take the most common kind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling
from ts_core.contract.transforms import Chain, ReorderBlocks, Reshape, Transform, Transpose

_KERNEL_BIAS = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "scale", "bias": "bias"}
_BATCH_NORM = {**_NORM, "mean": "mean", "var": "variance"}
_TRANSPOSED = Transpose((1, 0))
_LINEAR = {"weight": _TRANSPOSED}


def _dimensions(layer: Any) -> int:
    """How many axes a convolution slides along."""
    return len(layer.kernel.shape) - 2


def _is(dimensions: int, layer: Any) -> bool:
    return _dimensions(layer) == dimensions


def _conv(dimensions: int) -> Transform:
    """(out, in, *window) → (*window, in, out)."""
    return Transpose((*range(2, dimensions + 2), 1, 0))


def _conv_transpose(layer: Any) -> Transform:
    """(in, out, *window) → (*window, in, out), mirrored; or (*window, out, in) with `transpose_kernel`.

    Flax slides the kernel over the spread-out input as it is, where the adjoint of a convolution slides its mirror
    image; `transpose_kernel` asks for that adjoint.
    """
    window = range(2, _dimensions(layer) + 2)
    if layer.transpose_kernel:
        return Transpose((*window, 1, 0))
    sizes = layer.kernel.shape
    mirror = (ReorderBlocks(axis, tuple(reversed(range(sizes[axis - 2])))) for axis in window)
    return Chain((*mirror, Transpose((*window, 0, 1))))


def _heads_out(part: str, layer: Any) -> Transform:
    """(heads · size, in) → (in, heads, size)."""
    width, heads, size = getattr(layer, part).kernel.shape
    return Chain((_TRANSPOSED, Reshape((width, heads * size), (width, heads, size))))


def _heads_bias(part: str, layer: Any) -> Transform:
    """(heads · size,) → (heads, size)."""
    heads, size = getattr(layer, part).bias.shape
    return Reshape((heads * size,), (heads, size))


def _heads_in(layer: Any) -> Transform:
    """(out, heads · size) → (heads, size, out)."""
    heads, size, width = layer.out.kernel.shape
    return Chain((_TRANSPOSED, Reshape((heads * size, width), (heads, size, width))))


_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
_ATTENTION = {
    f"{part}.{local}": f"{canonical}.{role}"
    for part, canonical in {**_PROJECTIONS, "out": "out_proj"}.items()
    for local, role in _KERNEL_BIAS.items()
}
_ATTENTION_LAYOUT: dict[str, Transform | Callable[[Any], Transform | None]] = {
    **{f"{canonical}.weight": partial(_heads_out, part) for part, canonical in _PROJECTIONS.items()},
    **{f"{canonical}.bias": partial(_heads_bias, part) for part, canonical in _PROJECTIONS.items()},
    "out_proj.weight": _heads_in,
}

# Cells add one bias where the canonical cell adds two: it is the one of the transformation that Flax gives a bias.
_CELL_LAYOUT = {"weight_ih": _TRANSPOSED, "weight_hh": _TRANSPOSED}
_BIAS_OF_HIDDEN = {"dense_i.kernel": "weight_ih", "dense_h.kernel": "weight_hh", "dense_h.bias": "bias_hh"}
_BIAS_OF_INPUT = {"dense_i.kernel": "weight_ih", "dense_i.bias": "bias_ih", "dense_h.kernel": "weight_hh"}
_LSTM_PARTS = {
    **{f"{'if_' if gate == 'f' else 'i' + gate}.kernel": f"weight_ih.{gate}" for gate in "ifgo"},
    **{f"h{gate}.{local}": f"{role}_hh.{gate}" for gate in "ifgo" for local, role in _KERNEL_BIAS.items()},
}

# Settings
_BIAS = Spelled("bias", "is_given")
_STRIDE = Spelled("strides", "first_given", {"last": 1})
_DILATION = Spelled("kernel_dilation", "first_given", {"last": 1})
_CHANNELS: dict[str, Spelling] = {
    "in_channels": "in_features",
    "out_channels": "out_features",
    "kernel_size": "kernel_size",
    "stride": _STRIDE,
    "dilation": _DILATION,
    "bias": _BIAS,
}
_CONV_SETTINGS = {
    **_CHANNELS,
    "pads": Spelled("padding kernel_size strides kernel_dilation", "pads"),
    "padding_mode": Spelled("padding", "padding_mode"),
    "groups": "feature_group_count",
}
_CUT = "padding output_padding kernel_size strides kernel_dilation"  # it has no output padding
_CONV_TRANSPOSE_SETTINGS = {
    **_CHANNELS,
    "pads": Spelled(_CUT, "cut", {"around": True}, otherwise=0),
    "output_padding": Spelled(_CUT, "cut", {"around": True, "told": "output_padding"}, otherwise=0),
    "groups": Always(1),
}


def _affine(scale: bool, bias: bool) -> object:
    return scale if scale == bias else f"only {'scale' if scale else 'bias'}"


def _shape(features: int, axes: Any) -> object:
    return (features,) if axes in (-1, (-1,), [-1]) else f"axes {axes}"


_AFFINE = Spelled("use_scale use_bias", _affine)
_SHAPE = Spelled("num_features reduction_axes", _shape)
_BATCH_NORM_SETTINGS: dict[str, Spelling] = {
    "num_features": "num_features",
    "eps": "epsilon",
    "momentum": Spelled("momentum", "one_minus"),
    "affine": _AFFINE,
    "track_running_stats": Always(True),
}
_INSTANCE_NORM_SETTINGS: dict[str, Spelling] = {
    "num_features": "num_features",
    "eps": "epsilon",
    "affine": _AFFINE,
    "track_running_stats": Always(False),
}
_GROUP_NORM_SETTINGS: dict[str, Spelling] = {
    "num_groups": "num_groups",
    "num_channels": Spelled("num_groups group_size", lambda groups, size: groups * size),
    "eps": "epsilon",
    "affine": _AFFINE,
}
_RMS_NORM_SETTINGS: dict[str, Spelling] = {
    "normalized_shape": _SHAPE,
    "eps": "epsilon",
    "elementwise_affine": "use_scale",
}
_LOOKUP_SETTINGS: dict[str, Spelling] = {
    "num_embeddings": "num_embeddings",
    "embedding_dim": "features",
    "padding_idx": Always(None),
    "max_norm": Always(None),
    "norm_type": Always(2.0),
}
_ATTENTION_SETTINGS: dict[str, Spelling] = {
    "embed_dim": "qkv_features",
    "num_heads": "num_heads",
    "kdim": "in_kv_features",
    "vdim": "in_kv_features",
    "dropout": "dropout_rate",
    "bias": "use_bias",
    "add_bias_kv": Always(False),
    "add_zero_attn": Always(False),
    "batch_first": Always(True),
}
_CELL_SETTINGS: dict[str, Spelling] = {
    "input_size": "in_features",
    "hidden_size": "hidden_features",
    "bias": Always(True),
}

RULES: tuple[LayerRule, ...] = (
    LayerRule(
        "flax.nnx.Linear",
        "linear",
        _KERNEL_BIAS,
        _LINEAR,
        settings={
            "in_features": "in_features",
            "out_features": "out_features",
            "bias": _BIAS,
            "activation": Always(None),
        },
    ),
    *(
        LayerRule(
            "flax.nnx.Conv",
            f"conv{n}d",
            _KERNEL_BIAS,
            {"weight": _conv(n)},
            when=partial(_is, n),
            settings=_CONV_SETTINGS,
        )
        for n in (1, 2, 3)
    ),
    *(
        LayerRule(
            "flax.nnx.ConvTranspose",
            f"conv_transpose{n}d",
            _KERNEL_BIAS,
            {"weight": _conv_transpose},
            when=partial(_is, n),
            settings=_CONV_TRANSPOSE_SETTINGS,
        )
        for n in (1, 2, 3)
    ),
    LayerRule("flax.nnx.BatchNorm", "batch_norm2d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("flax.nnx.InstanceNorm", "instance_norm2d", _NORM, settings=_INSTANCE_NORM_SETTINGS),
    LayerRule("flax.nnx.GroupNorm", "group_norm", _NORM, settings=_GROUP_NORM_SETTINGS),
    LayerRule("flax.nnx.LayerNorm", "layer_norm", _NORM, settings={**_RMS_NORM_SETTINGS, "bias": "use_bias"}),
    LayerRule("flax.nnx.RMSNorm", "rms_norm", {"scale": "scale"}, settings=_RMS_NORM_SETTINGS),
    LayerRule("flax.nnx.Embed", "embedding", {"embedding": "weight"}, settings=_LOOKUP_SETTINGS),
    LayerRule("flax.nnx.PReLU", "prelu", {"negative_slope": "slope"}, settings={"num_parameters": Always(1)}),
    LayerRule(
        "flax.nnx.MultiHeadAttention",
        "multi_head_attention",
        _ATTENTION,
        _ATTENTION_LAYOUT,
        settings=_ATTENTION_SETTINGS,
    ),
    LayerRule("flax.nnx.OptimizedLSTMCell", "lstm_cell", _BIAS_OF_HIDDEN, _CELL_LAYOUT, settings=_CELL_SETTINGS),
    LayerRule(
        "flax.nnx.LSTMCell",
        "lstm_cell",
        _LSTM_PARTS,
        {role: _TRANSPOSED for role in _LSTM_PARTS.values() if role.startswith("weight")},
        settings=_CELL_SETTINGS,
    ),
    LayerRule("flax.nnx.GRUCell", "gru_cell", _BIAS_OF_INPUT, _CELL_LAYOUT, settings=_CELL_SETTINGS),
    LayerRule(
        "flax.nnx.SimpleCell",
        "rnn_cell",
        _BIAS_OF_INPUT,
        _CELL_LAYOUT,
        settings={**_CELL_SETTINGS, "nonlinearity": Spelled("activation_fn", "function_name")},
    ),
    LayerRule("flax.nnx.Dropout", "dropout", {}, settings={"p": "rate"}),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
