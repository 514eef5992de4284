"""Poolings."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled, Spelling
from ts_mindspore.layers._spelling import same

# Poolings keep some of what they were told in the operator that they run, which differs with what they were told.
_WINDOW = "kernel_size stride max_pool.dilation pad_mode"
_MAX_POOL = same(
    "kernel_size stride",
    pads=Spelled(f"max_pool.pads|max_pool.pad_list {_WINDOW}", "pads", otherwise=None),
    dilation=Spelled("max_pool.dilation", otherwise=1),
    ceil_mode=Spelled("max_pool.ceil_mode", bool, otherwise=False),
)
_AVG_POOL = same(
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
_MINT_MAX_POOL = same("kernel_size stride dilation ceil_mode", pads=_PLAIN_PADS)
_MINT_AVG_POOL = same(
    "kernel_size ceil_mode count_include_pad",
    pads=_PLAIN_PADS,
    stride=_STRIDE,
    divisor_override=Spelled("divisor_override", otherwise=None),
)
_LP_POOL = same("norm_type kernel_size ceil_mode", stride=_STRIDE)
_UNPOOL = same("kernel_size", stride=_STRIDE, pads=_PLAIN_PADS)
_FRACTIONAL = same("kernel_size output_size output_ratio")
_ADAPTIVE: dict[str, Spelling] = {
    "output_size": Spelled("output_size|adaptive_avgpool2d.output_size|adaptive_avg_pool3d.output_size", "kept_axes")
}

RULES: tuple[LayerRule, ...] = (
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
    LayerRule("mindspore.nn.FractionalMaxPool2d", "fractional_max_pool2d", {}, settings=_FRACTIONAL),
    LayerRule("mindspore.nn.FractionalMaxPool3d", "fractional_max_pool3d", {}, settings=_FRACTIONAL),
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
)
