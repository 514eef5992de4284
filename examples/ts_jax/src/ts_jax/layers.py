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

RULES: tuple[LayerRule, ...] = (
    LayerRule("flax.nnx.Linear", "linear", _KERNEL_BIAS, _LINEAR),
    *(
        LayerRule("flax.nnx.Conv", f"conv{n}d", _KERNEL_BIAS, {"weight": _conv(n)}, when=partial(_is, n))
        for n in (1, 2, 3)
    ),
    *(
        LayerRule(
            "flax.nnx.ConvTranspose",
            f"conv_transpose{n}d",
            _KERNEL_BIAS,
            {"weight": _conv_transpose},
            when=partial(_is, n),
        )
        for n in (1, 2, 3)
    ),
    LayerRule("flax.nnx.BatchNorm", "batch_norm2d", _BATCH_NORM),
    LayerRule("flax.nnx.InstanceNorm", "instance_norm2d", _NORM),
    LayerRule("flax.nnx.GroupNorm", "group_norm", _NORM),
    LayerRule("flax.nnx.LayerNorm", "layer_norm", _NORM),
    LayerRule("flax.nnx.RMSNorm", "rms_norm", {"scale": "scale"}),
    LayerRule("flax.nnx.Embed", "embedding", {"embedding": "weight"}),
    LayerRule("flax.nnx.PReLU", "prelu", {"negative_slope": "slope"}),
    LayerRule("flax.nnx.MultiHeadAttention", "multi_head_attention", _ATTENTION, _ATTENTION_LAYOUT),
    LayerRule("flax.nnx.OptimizedLSTMCell", "lstm_cell", _BIAS_OF_HIDDEN, _CELL_LAYOUT),
    LayerRule(
        "flax.nnx.LSTMCell",
        "lstm_cell",
        _LSTM_PARTS,
        {role: _TRANSPOSED for role in _LSTM_PARTS.values() if role.startswith("weight")},
    ),
    LayerRule("flax.nnx.GRUCell", "gru_cell", _BIAS_OF_INPUT, _CELL_LAYOUT),
    LayerRule("flax.nnx.SimpleCell", "rnn_cell", _BIAS_OF_INPUT, _CELL_LAYOUT),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
