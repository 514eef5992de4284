"""Convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, cut
from ts_core.contract.transforms import InsertAxis
from ts_mindspore.layers._spelling import BIAS, WEIGHT_BIAS, same

_CONV1D = {"weight": InsertAxis(2)}  # runs as a 2-D convolution over a height of 1


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


_CHANNELS = "in_channels out_channels kernel_size stride dilation"
_CONV_SETTINGS = same(
    _CHANNELS,
    groups="group",
    pads=Spelled("padding kernel_size stride dilation pad_mode", "pads"),
    padding_mode=Always("zeros"),
    bias=BIAS,
)
_CUT = "kernel_size stride dilation pad_mode"
_CONV_TRANSPOSE_SETTINGS = same(
    _CHANNELS,
    groups="group",
    pads=Spelled(f"padding output_padding {_CUT}", "cut", otherwise=0),  # in one dimension there is no output padding
    output_padding=Spelled(f"padding output_padding {_CUT}", "cut", {"told": "output_padding"}, otherwise=0),
    bias=BIAS,
)
_CONV2D_TRANSPOSE_SETTINGS = {
    **_CONV_TRANSPOSE_SETTINGS,
    "pads": Spelled(f"padding {_CUT}", lambda padding, *window: cut(2, padding, 0, *window)),
    "output_padding": Spelled(f"output_padding padding {_CUT}", _output_padding),
}
_MINT_CONV_SETTINGS = same(
    f"{_CHANNELS} groups padding_mode", pads=Spelled("padding kernel_size stride dilation", "pads"), bias=BIAS
)
_MINT_CUT = "padding output_padding kernel_size stride dilation"
_MINT_CONV_TRANSPOSE_SETTINGS = same(
    f"{_CHANNELS} groups",
    pads=Spelled(_MINT_CUT, "cut"),
    output_padding=Spelled(_MINT_CUT, "cut", {"told": "output_padding"}),
    bias=BIAS,
)

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.Conv1d", "conv1d", WEIGHT_BIAS, _CONV1D, settings=_CONV_SETTINGS),
    LayerRule("mindspore.nn.Conv2d", "conv2d", WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("mindspore.nn.Conv3d", "conv3d", WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule(
        "mindspore.nn.Conv1dTranspose", "conv_transpose1d", WEIGHT_BIAS, _CONV1D, settings=_CONV_TRANSPOSE_SETTINGS
    ),
    LayerRule("mindspore.nn.Conv2dTranspose", "conv_transpose2d", WEIGHT_BIAS, settings=_CONV2D_TRANSPOSE_SETTINGS),
    LayerRule("mindspore.nn.Conv3dTranspose", "conv_transpose3d", WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule(
        "mindspore.nn.Conv2dThor",
        "conv2d",
        {
            **WEIGHT_BIAS,
            **{n: n for n in ("a_normalizer", "g_normalizer", "matrix_a_cov", "matrix_g_cov")},
        },
        settings=_CONV_SETTINGS,
    ),
    LayerRule("mindspore.mint.nn.Conv1d", "conv1d", WEIGHT_BIAS, settings=_MINT_CONV_SETTINGS),
    LayerRule("mindspore.mint.nn.Conv2d", "conv2d", WEIGHT_BIAS, settings=_MINT_CONV_SETTINGS),
    LayerRule("mindspore.mint.nn.Conv3d", "conv3d", WEIGHT_BIAS, settings=_MINT_CONV_SETTINGS),
    LayerRule(
        "mindspore.mint.nn.ConvTranspose2d", "conv_transpose2d", WEIGHT_BIAS, settings=_MINT_CONV_TRANSPOSE_SETTINGS
    ),
)
