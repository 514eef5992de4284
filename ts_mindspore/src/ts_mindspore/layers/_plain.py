"""Layers without parameters: activations, dropout, paddings, and what changes shapes."""

from __future__ import annotations

from functools import partial
from typing import Any

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling
from ts_mindspore.layers._spelling import same

_PADS = Spelled("padding", "backwards")
_MIRROR_PADS = Spelled("padding", lambda pairs: pairs)  # kept as pairs already, in the order of the axes
_UPSAMPLE: dict[str, Spelling] = {
    "size": Spelled("size", "one_number"),
    "scale_factor": Spelled("scale_factor", "one_number"),
    "mode": "mode",
    "align_corners": Spelled("align_corners", bool),
    "recompute_scale_factor": Spelled("recompute_scale_factor", bool),
}
_WINDOW = same("kernel_size stride dilation", pads=Spelled("padding", "pads"))
_KEEP_PROB: dict[str, Spelling] = {"p": Spelled("keep_prob", "one_minus")}
_RANDOM_SLOPE: dict[str, Spelling] = {
    "lower": Spelled("lower", lambda bound: bound.asnumpy().item()),
    "upper": Spelled("upper", lambda bound: bound.asnumpy().item()),
    "random_in_evaluation": Always(True),
}
# It goes over 2 · depth_radius + 1 channels, and does not divide `alpha` by their number.
_RESPONSE_NORM: dict[str, Spelling] = {
    "size": Spelled("lrn_op.depth_radius", lambda radius: 2 * radius + 1),
    "alpha": Spelled("lrn_op.alpha lrn_op.depth_radius", lambda alpha, radius: alpha * (2 * radius + 1)),
    "beta": "lrn_op.beta",
    "k": "lrn_op.bias",
}


def _upsample_always(mode: str, align_corners: bool) -> dict[str, Spelling]:
    """Of an upsampling whose class says the mode."""
    fixed = {"mode": mode, "align_corners": align_corners, "recompute_scale_factor": False}
    return {**_UPSAMPLE, **{name: Always(value) for name, value in fixed.items()}}


# class → kind and settings
_TABLE: dict[str, tuple[str, dict[str, Spelling]]] = {
    "nn.ReLU": ("relu", {}),
    "nn.ReLU6": ("relu6", {}),
    "nn.Sigmoid": ("sigmoid", {}),
    "nn.LogSigmoid": ("log_sigmoid", {}),
    "nn.Tanh": ("tanh", {}),
    "nn.Tanhshrink": ("tanhshrink", {}),
    "nn.SiLU": ("silu", {}),
    "nn.Mish": ("mish", {}),
    "nn.SeLU": ("selu", {}),
    "nn.Softsign": ("softsign", {}),
    "nn.HSwish": ("hardswish", {}),
    "nn.HSigmoid": ("hardsigmoid", {}),
    "nn.Identity": ("identity", {}),
    "nn.Softmax": ("softmax", {"dim": Spelled("softmax.axis", "one_number")}),
    "nn.LogSoftmax": ("log_softmax", {"dim": "log_softmax.axis"}),
    "nn.Softmin": ("softmin", {"dim": Spelled("axis", "one_number")}),
    "nn.Softmax2d": ("softmax2d", {}),
    "nn.SoftShrink": ("softshrink", {"lambd": "softshrink.lambd"}),
    "nn.HShrink": ("hardshrink", {"lambd": "hshrink.lambd"}),
    "nn.ELU": ("elu", {"alpha": "elu.alpha"}),
    "nn.CELU": ("celu", {"alpha": "celu.alpha"}),
    "nn.LeakyReLU": ("leaky_relu", {"negative_slope": "alpha"}),
    "nn.RReLU": ("rrelu", _RANDOM_SLOPE),
    "nn.GELU": ("gelu", same("approximate")),
    "nn.FastGelu": ("gelu", {"approximate": Always("sigmoid")}),  # x · sigmoid(1.702 x)
    "nn.GLU": ("glu", same("dim")),
    "nn.Hardtanh": ("hardtanh", same("min_val max_val")),
    "nn.Threshold": ("threshold", same("threshold value")),
    "nn.Flatten": ("flatten", same("start_dim end_dim")),
    "nn.Unflatten": ("unflatten", same("unflattened_size", dim="axis")),
    "nn.Upsample": ("upsample", _UPSAMPLE),
    "nn.PixelShuffle": ("pixel_shuffle", same("upscale_factor")),
    "nn.PixelUnshuffle": ("pixel_unshuffle", same("downscale_factor")),
    "nn.ChannelShuffle": ("channel_shuffle", same("groups")),
    "nn.LRN": ("local_response_norm", _RESPONSE_NORM),
    "nn.Dropout": ("dropout", {"p": Spelled("dropout.keep_prob", "one_minus")}),
    "nn.Dropout1d": ("dropout1d", {"p": "prob"}),
    "nn.Dropout2d": ("dropout2d", _KEEP_PROB),
    "nn.Dropout3d": ("dropout3d", _KEEP_PROB),
    "nn.ZeroPad2d": ("zero_pad2d", {"pads": _PADS}),
    **{f"nn.ConstantPad{n}d": (f"constant_pad{n}d", same("value", pads=_PADS)) for n in (1, 2, 3)},
    **{f"nn.ReflectionPad{n}d": (f"reflection_pad{n}d", {"pads": _MIRROR_PADS}) for n in (1, 2, 3)},
    **{f"nn.ReplicationPad{n}d": (f"replication_pad{n}d", {"pads": _PADS}) for n in (1, 2, 3)},
    # mindspore.mint.nn, some of whose classes are defined inside mindspore.nn under other names
    **{
        f"mint.nn.{cls}": (kind, {})
        for cls, kind in (
            ("ReLU6", "relu6"),
            ("Sigmoid", "sigmoid"),
            ("LogSigmoid", "log_sigmoid"),
            ("Tanh", "tanh"),
            ("SiLU", "silu"),
            ("Mish", "mish"),
            ("SELU", "selu"),
        )
    },
    "mint.nn.Softmax": ("softmax", same("dim")),
    "nn.LogSoftmaxExt": ("log_softmax", same("dim")),
    "mint.nn.ELU": ("elu", same("alpha")),
    "mint.nn.GELU": ("gelu", same("approximate")),
    "mint.nn.GLU": ("glu", same("dim")),
    "mint.nn.Hardtanh": ("hardtanh", same("min_val max_val")),
    "mint.nn.Threshold": ("threshold", same("threshold value")),
    "mint.nn.Flatten": ("flatten", same("start_dim end_dim")),
    "mint.nn.Upsample": ("upsample", _UPSAMPLE),
    "mint.nn.UpsamplingNearest2d": (
        "upsample",
        _upsample_always("nearest", align_corners=False),
    ),
    "mint.nn.UpsamplingBilinear2d": (
        "upsample",
        _upsample_always("bilinear", align_corners=True),
    ),
    "mint.nn.PixelShuffle": ("pixel_shuffle", same("upscale_factor")),
    "mint.nn.Unfold": ("unfold", _WINDOW),
    "mint.nn.Fold": ("fold", same("output_size", **_WINDOW)),
    "nn.DropoutExt": ("dropout", same("p")),
    "nn.Dropout2dExt": ("dropout2d", same("p")),
    **{f"mint.nn.ConstantPad{n}d": (f"constant_pad{n}d", same("value", pads=_PADS)) for n in (1, 2, 3)},
    **{
        f"mint.nn.{cls}{n}d": (f"{kind}{n}d", {"pads": _PADS})
        for n in (1, 2, 3)
        for cls, kind in (
            ("ZeroPad", "zero_pad"),
            ("ReflectionPad", "reflection_pad"),
            ("ReplicationPad", "replication_pad"),
        )
    },
}


def _pads_space(dimensions: int, mode: str, layer: Any) -> bool:
    """Whether a ``Pad``, which is told of every axis, pads those of space alone, behind batch and channels."""
    pairs = _pairs(layer.paddings)
    return layer.mode == mode and len(pairs) == dimensions + 2 and not any(map(any, pairs[:2]))


def _pairs(paddings: Any) -> Any:
    return paddings.asnumpy().tolist() if hasattr(paddings, "asnumpy") else paddings


_OF_SPACE = Spelled("paddings", lambda paddings: _pairs(paddings)[2:])

RULES: tuple[LayerRule, ...] = (
    *(LayerRule(f"mindspore.{cls}", kind, {}, settings=settings) for cls, (kind, settings) in _TABLE.items()),
    *(
        LayerRule(
            "mindspore.nn.Pad",
            f"{kind}{n}d",
            {},
            when=partial(_pads_space, n, mode),
            settings={"pads": _OF_SPACE},
        )
        for n in (1, 2)  # it pads up to four axes
        for mode, kind in (("CONSTANT", "zero_pad"), ("REFLECT", "reflection_pad"))
    ),
    LayerRule("mindspore.nn.SequentialCell", "identity", {}, when=lambda layer: not len(layer)),
)
