"""Convolutions and transposed convolutions."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled
from ts_torch.layers._spelling import BIAS, WEIGHT_BIAS, same

_PADS = Spelled("padding kernel_size stride dilation", "pads")
_CUT = "padding output_padding kernel_size stride dilation"
_CHANNELS = "in_channels out_channels kernel_size stride dilation groups"
_CONV_SETTINGS = same(f"{_CHANNELS} padding_mode", pads=_PADS, bias=BIAS)
_CONV_TRANSPOSE_SETTINGS = same(
    _CHANNELS,
    pads=Spelled(_CUT, "cut", {"told": "pads"}),
    output_padding=Spelled(_CUT, "cut", {"told": "output_padding"}),
    bias=BIAS,
)

RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.Conv1d", "conv1d", WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("torch.nn.Conv2d", "conv2d", WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("torch.nn.Conv3d", "conv3d", WEIGHT_BIAS, settings=_CONV_SETTINGS),
    LayerRule("torch.nn.ConvTranspose1d", "conv_transpose1d", WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule("torch.nn.ConvTranspose2d", "conv_transpose2d", WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
    LayerRule("torch.nn.ConvTranspose3d", "conv_transpose3d", WEIGHT_BIAS, settings=_CONV_TRANSPOSE_SETTINGS),
)
