"""Layers without parameters: activations, dropout, paddings, and what changes shapes."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling
from ts_torch.layers._spelling import same

_PADS = Spelled("padding", "backwards")
_WINDOW = same("kernel_size stride dilation", pads=Spelled("padding", "pads"))
_UPSAMPLE: dict[str, Spelling] = {
    "size": Spelled("size", "one_number"),
    "scale_factor": Spelled("scale_factor", "one_number"),
    "mode": "mode",
    "align_corners": Spelled("align_corners", bool),
    "recompute_scale_factor": Spelled("recompute_scale_factor", bool),
}
# Across channels, `alpha` is divided by the number of them, as in the canonical kind.
_RESPONSE_NORM = same("size alpha beta k")

# class → kind and settings
_TABLE: dict[str, tuple[str, dict[str, Spelling]]] = {
    "ReLU": ("relu", {}),
    "ReLU6": ("relu6", {}),
    "Sigmoid": ("sigmoid", {}),
    "LogSigmoid": ("log_sigmoid", {}),
    "Tanh": ("tanh", {}),
    "Tanhshrink": ("tanhshrink", {}),
    "SiLU": ("silu", {}),
    "Mish": ("mish", {}),
    "SELU": ("selu", {}),
    "Softsign": ("softsign", {}),
    "Hardswish": ("hardswish", {}),
    "Hardsigmoid": ("hardsigmoid", {}),
    "Identity": ("identity", {}),
    "Softmax": ("softmax", same("dim")),
    "LogSoftmax": ("log_softmax", same("dim")),
    "Softmin": ("softmin", same("dim")),
    "Softmax2d": ("softmax2d", {}),
    "Softshrink": ("softshrink", same("lambd")),
    "Hardshrink": ("hardshrink", same("lambd")),
    "ELU": ("elu", same("alpha")),
    "CELU": ("celu", same("alpha")),
    "LeakyReLU": ("leaky_relu", same("negative_slope")),
    "RReLU": ("rrelu", same("lower upper", random_in_evaluation=Always(False))),
    "GELU": ("gelu", same("approximate")),
    "GLU": ("glu", same("dim")),
    "Hardtanh": ("hardtanh", same("min_val max_val")),
    "Softplus": ("softplus", same("beta threshold")),
    "Threshold": ("threshold", same("threshold value")),
    "Flatten": ("flatten", same("start_dim end_dim")),
    "Unflatten": ("unflatten", same("dim", unflattened_size=Spelled("unflattened_size", "as_tuple"))),
    "Upsample": ("upsample", _UPSAMPLE),
    "UpsamplingNearest2d": ("upsample", _UPSAMPLE),
    "UpsamplingBilinear2d": ("upsample", _UPSAMPLE),
    "PixelShuffle": ("pixel_shuffle", same("upscale_factor")),
    "PixelUnshuffle": ("pixel_unshuffle", same("downscale_factor")),
    "ChannelShuffle": ("channel_shuffle", same("groups")),
    "Unfold": ("unfold", _WINDOW),
    "Fold": ("fold", same("output_size", **_WINDOW)),
    "LocalResponseNorm": ("local_response_norm", _RESPONSE_NORM),
    "CrossMapLRN2d": ("local_response_norm", _RESPONSE_NORM),
    "CosineSimilarity": ("cosine_similarity", same("dim eps")),
    "PairwiseDistance": ("pairwise_distance", same("eps keepdim", norm_type="norm")),
    "Dropout": ("dropout", same("p")),
    "AlphaDropout": ("alpha_dropout", same("p")),
    "FeatureAlphaDropout": ("feature_alpha_dropout", same("p")),
    **{f"Dropout{n}d": (f"dropout{n}d", same("p")) for n in (1, 2, 3)},
    **{f"ConstantPad{n}d": (f"constant_pad{n}d", same("value", pads=_PADS)) for n in (1, 2, 3)},
    **{
        f"{cls}{n}d": (f"{kind}{n}d", same("", pads=_PADS))
        for n in (1, 2, 3)
        for cls, kind in (
            ("ZeroPad", "zero_pad"),
            ("ReflectionPad", "reflection_pad"),
            ("ReplicationPad", "replication_pad"),
            ("CircularPad", "circular_pad"),
        )
    },
}
RULES: tuple[LayerRule, ...] = (
    *(LayerRule(f"torch.nn.{cls}", kind, {}, settings=settings) for cls, (kind, settings) in _TABLE.items()),
    LayerRule("torch.nn.Sequential", "identity", {}, when=lambda layer: not len(layer)),
)
