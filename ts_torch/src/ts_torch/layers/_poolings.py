"""Poolings."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled
from ts_torch.layers._spelling import same

_WINDOW = same("kernel_size ceil_mode", stride=Spelled("stride kernel_size", "first_given"))
_PLAIN_PADS = Spelled("padding", "pads")
_MAX_POOL = same("dilation", pads=_PLAIN_PADS, **_WINDOW)
_AVG_POOL = same(
    "count_include_pad",
    pads=_PLAIN_PADS,
    divisor_override=Spelled("divisor_override", otherwise=None),  # one dimension has none
    **_WINDOW,
)
_UNPOOL = same("kernel_size stride", pads=_PLAIN_PADS)
_FRACTIONAL = same("kernel_size output_size output_ratio")
_ADAPTIVE = same("", output_size=Spelled("output_size", "kept_axes"))

RULES: tuple[LayerRule, ...] = (
    *(
        rule
        for n in (1, 2, 3)
        for rule in (
            LayerRule(f"torch.nn.MaxPool{n}d", f"max_pool{n}d", {}, settings=_MAX_POOL),
            LayerRule(f"torch.nn.AvgPool{n}d", f"avg_pool{n}d", {}, settings=_AVG_POOL),
            LayerRule(f"torch.nn.LPPool{n}d", f"lp_pool{n}d", {}, settings=same("norm_type", **_WINDOW)),
            LayerRule(f"torch.nn.MaxUnpool{n}d", f"max_unpool{n}d", {}, settings=_UNPOOL),
            LayerRule(f"torch.nn.AdaptiveMaxPool{n}d", f"adaptive_max_pool{n}d", {}, settings=_ADAPTIVE),
            LayerRule(f"torch.nn.AdaptiveAvgPool{n}d", f"adaptive_avg_pool{n}d", {}, settings=_ADAPTIVE),
        )
    ),
    LayerRule("torch.nn.FractionalMaxPool2d", "fractional_max_pool2d", {}, settings=_FRACTIONAL),
    LayerRule("torch.nn.FractionalMaxPool3d", "fractional_max_pool3d", {}, settings=_FRACTIONAL),
)
