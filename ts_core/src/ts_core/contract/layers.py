"""The canonical vocabulary of layers, written down once: kinds, the roles of their parameters, and their settings.

A plug-in's layer rules say how a framework spells what stands here. Arrays are in torch's layout, and settings have the
names of torch's arguments, with two exceptions: ``pads`` (frameworks disagree on what one number means) and ``bias``
(whether there is one). A kind that is added here needs its definition in :mod:`ts_core.testing`, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: What a role is to a layer. A layer without an *optional* parameter is another layer, which computes something else.
REQUIRED, OPTIONAL = "required", "optional"
#: A parameter that only counts: a layer may lack it without being another layer.
COUNTER = "counter"
#: What a second-order optimizer keeps beside the parameters of the layer itself.
OPTIMIZER = "optimizer"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a layer.

    Attributes:
        meaning: what it is, in which unit and convention; empty when torch's documentation leaves no question.
        default: what most frameworks take when it is not given; ``...`` when there is no such value.
        training: whether it is of consequence in training only.
        idle: the settings of a layer → whether this one is of no consequence beside the others.
    """

    meaning: str
    default: object = ...
    training: bool = False
    idle: Callable[[Mapping[str, Any]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of layer.

    Attributes:
        name: ``"batch_norm2d"``.
        family: the name without what does not matter for parameters: dimensions, synchronisation, pooling of a lookup.
        roles: role → :data:`REQUIRED`, :data:`OPTIONAL`, :data:`COUNTER` or :data:`OPTIMIZER`. ``{n}`` stands for the
            number of a layer, ``{gate}`` for one of `gates`.
        rank: the number of axes of the canonical ``weight``; None for a kind that has none.
        settings: name → :class:`Setting`.
        dimensions: how many axes of space it works on, where there is one kind for each number; else None.
        gates: the letters of the gates, in the order in which they stand one after another in a whole array.
        one_shape: its parameters, counters aside, have one shape.
        many_axes: that shape may have several axes.
        statistics: a file that holds such a layer holds its running statistics.
        inferred: whether names and shapes alone may tell it: not where it is too rare, or like another.
        adds_biases: it adds its two biases, one of the inputs and one of the hidden state, to each other.
        training: whether it does something in training only.
        means: another kind, and settings of that, which together say what it computes: a relu6 is a hardtanh from 0
            to 6. Its own settings are those of the other kind as well.
    """

    name: str
    family: str
    roles: Mapping[str, str] = field(default_factory=dict)
    rank: int | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    dimensions: int | None = None
    gates: str = ""
    one_shape: bool = False
    many_axes: bool = False
    statistics: bool = False
    inferred: bool = True
    adds_biases: bool = False
    training: bool = False
    means: tuple[str, Mapping[str, object]] | None = None

    def knows(self, role: str) -> bool:
        """Whether a layer of this kind has such a role."""
        pattern = re.sub(r"_l\d+", "_l{n}", role)
        if self.gates:
            pattern = re.sub(rf"\.[{self.gates}]$", ".{gate}", pattern)
        return pattern in self.roles


# What settings mean, in units and conventions.
_MEANINGS: Mapping[str, str] = {
    "affine": "whether it scales and shifts by parameters",
    "activation": "function that follows inside of the layer: relu, gelu; None for none",
    "align_corners": "whether the corner elements of input and output lie upon each other",
    "batch_first": "whether the batch is the first axis, before time",
    "bias": "whether there is one",
    "bidirectional": "whether it also runs backwards in time",
    "ceil_mode": "whether the size of the output is rounded up",
    "count_include_pad": "whether padded zeros count in the average",
    "dilation": "distance of the taps of the window: elements, for each axis",
    "dropout": "probability of dropping, in training",
    "elementwise_affine": "whether it scales (and shifts) by parameters",
    "end_dim": "last axis that is flattened; the batch is axis 0",
    "eps": "added to the variance before its root",
    "groups": "groups of channels that are worked on apart",
    "hidden_size": "units",
    "input_size": "features of the input",
    "kernel_size": "size of the window: elements, for each axis",
    "lambd": "half of the width of the interval around zero",
    "label_smoothing": "share of the target that is spread over all classes",
    "layer_norm_eps": "added to the variance before its root",
    "max_norm": "length to which longer rows are scaled when they are looked up",
    "momentum": "share of the new value in the running statistics",
    "negative_slope": "factor below zero",
    "nonlinearity": "function of the sum: tanh, relu",
    "normalized_shape": "sizes of the axes that are normalised together, the last ones of the input",
    "norm_first": "whether norms stand before attention and feed-forward, not behind their sums",
    "norm_type": "p of the p-norm",
    "output_padding": "elements that are cut less at the end of the output than at its begin, for each axis",
    "output_size": "size of the output: elements, for each axis; None that of the input",
    "p": "probability of dropping, in training",
    "padding_idx": "row that stands for nothing: it starts at zero, and most frameworks give it no gradient",
    "padding_mode": "what is put outside of the edges: zeros, reflect, replicate, circular",
    "pads": (
        "elements put before the begin and behind the end (a transposed convolution: cut off there), a pair for each "
        "axis; same, same_lower: as many as make the output ceil(size / stride), the odd one at the end, at the begin"
    ),
    "proj_size": "features to which the hidden state is projected, 0 for no projection",
    "pos_weight": "factor of each class where the target is 1; None for none",
    "random_in_evaluation": "whether the slope is random outside of training too, instead of the mean of its bounds",
    "recompute_scale_factor": "whether the factor is computed anew from the rounded size of the output",
    "reduction": "mean, sum or none, over the elements of the batch",
    "scale_factor": "size of the output ÷ that of the input: one, or one for each axis",
    "size": "size of the output: elements, one or one for each axis",
    "start_dim": "first axis that is flattened; the batch is axis 0",
    "stride": "step of the window: elements, for each axis",
    "swap": "whether the nearer of anchor and positive counts as the distance to the negative",
    "track_running_stats": "whether it keeps running statistics, and works with them outside of training",
    "weight": "factor of each class, or element; None for none",
}
#: Settings that are told for each axis of space, where a kind has a number of these.
EACH_AXIS = frozenset(["dilation", "kernel_size", "output_padding", "output_ratio", "output_size", "stride"])
# Settings that nothing but training shows, and those that do nothing beside certain others.
_TRAINING = frozenset(["momentum", "dropout", "p", "padding_idx"])


def _no_pads(told: Mapping[str, Any]) -> bool:
    pads = told.get("pads")
    return isinstance(pads, tuple) and not any(any(pair) for pair in pads)


def _whole(factor: Any) -> bool:
    return all(float(one).is_integer() for one in (factor if isinstance(factor, tuple) else (factor,)))


_IDLE: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "momentum": lambda told: told.get("track_running_stats") is False,
    "dropout": lambda told: told.get("num_layers") == 1,  # it stands between layers
    "count_include_pad": lambda told: _no_pads(told) or told.get("divisor_override") is not None,
    "padding_mode": _no_pads,
    "dilation": lambda told: isinstance(told["kernel_size"], tuple) and set(told["kernel_size"]) == {1},
    "align_corners": lambda told: told.get("mode") in ("nearest", "nearest-exact", "area"),
    "recompute_scale_factor": lambda told: told.get("scale_factor") is None or _whole(told["scale_factor"]),
    "norm_type": lambda told: "max_norm" in told and told["max_norm"] is None,
    "bias": lambda told: told.get("elementwise_affine") is False,
}
_SPACE = (1, 2, 3)


def _settings(names: str = "", **defaults: object) -> dict[str, Setting]:
    """Settings without a default, by names with blanks between; and settings with one."""
    given = {**dict.fromkeys(names.split(), ...), **defaults}
    return {
        name: Setting(_MEANINGS.get(name, ""), default, name in _TRAINING, _IDLE.get(name))
        for name, default in given.items()
    }


def _roles(required: str = "", optional: str = "", counters: str = "") -> dict[str, str]:
    words = ((required, REQUIRED), (optional, OPTIONAL), (counters, COUNTER))
    return {role: need for names, need in words for role in names.split()}


def _inside(part: str, roles: Mapping[str, str]) -> dict[str, str]:
    return {f"{part}.{role}": need for role, need in roles.items()}


_WEIGHT_BIAS = _roles("weight", "bias")
_SECOND_ORDER = dict.fromkeys(
    ["matrix_a", "matrix_g", "a_normalizer", "g_normalizer", "matrix_a_cov", "matrix_g_cov"], OPTIMIZER
)
_AFFINE = _roles("", "scale bias")
_STATISTICS = _roles("", "mean variance", "batch_count")
_BATCH_NORM = _settings("num_features", eps=1e-5, momentum=0.1, affine=True, track_running_stats=True)
_INSTANCE_NORM = _settings("num_features", eps=1e-5, momentum=0.1, affine=False, track_running_stats=False)
_WINDOW = _settings("in_channels out_channels kernel_size", stride=1, pads=0, dilation=1, groups=1, bias=True)
_LOOKUP = _settings("num_embeddings embedding_dim", padding_idx=None, max_norm=None, norm_type=2.0)
_CELL_ROLES = _roles("weight_ih weight_hh", "bias_ih bias_hh")
_CELL = _settings("input_size hidden_size", bias=True)
_STACK = _settings(num_layers=1, batch_first=False, dropout=0.0, bidirectional=False)
_RECURRENT = {f"{role}_l{{n}}{way}": need for way in ("", "_reverse") for role, need in _CELL_ROLES.items()}
_PROJECTED = {f"weight_hr_l{{n}}{way}": OPTIONAL for way in ("", "_reverse")}
_ATTENTION = {
    **_roles("", "in_proj.weight in_proj.bias"),
    **{f"{part}_proj.{role}": OPTIONAL for part in "qkv" for role in ("weight", "bias")},
    **_roles("out_proj.weight", "out_proj.bias bias_k bias_v"),
}
_HEADS = _settings(
    "embed_dim num_heads kdim vdim", dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, batch_first=False
)
_ENCODER = {
    **_inside("self_attn", _ATTENTION),
    **{f"linear{n}.{role}": need for n in (1, 2) for role, need in _WEIGHT_BIAS.items()},
    **{f"norm{n}.{role}": need for n in (1, 2) for role, need in _AFFINE.items()},
}
_DECODER = {**_ENCODER, **_inside("multihead_attn", _ATTENTION), **_inside("norm3", _AFFINE)}
_BLOCK = _settings("d_model nhead", dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5) | (
    _settings(batch_first=False, norm_first=False, bias=True)
)


def _each(family: str, settings: Mapping[str, Setting], dimensions: tuple[int, ...] = _SPACE) -> Iterator[Kind]:
    """One kind without parameters for each number of dimensions."""
    yield from (Kind(f"{family}{n}d", family, settings=settings, dimensions=n) for n in dimensions)


def _recurrent(name: str, gates: str, adds_biases: bool, **extra: object) -> Iterator[Kind]:
    """A recurrent layer and its cell, whose arrays may also be stored gate by gate."""
    settings = _CELL | _settings("", **extra)
    projected = name == "lstm"
    roles = {**_RECURRENT, **_PROJECTED} if projected else _RECURRENT
    stack = _STACK | (_settings(proj_size=0) if projected else {})
    yield Kind(name, name, roles, settings=settings | stack, gates=gates, adds_biases=adds_biases)
    cell = {**_CELL_ROLES, **({f"{role}.{{gate}}": OPTIONAL for role in _CELL_ROLES} if gates else {})}
    yield Kind(f"{name}_cell", f"{name}_cell", cell, settings=settings, gates=gates, adds_biases=adds_biases)


def _pools() -> Iterator[Kind]:
    window = _settings("kernel_size", stride="kernel_size", pads=0, ceil_mode=False)
    yield from _each("max_pool", window | _settings(dilation=1))
    yield from _each("avg_pool", window | _settings(count_include_pad=True, divisor_override=None))
    yield from _each("lp_pool", _settings("norm_type kernel_size", stride="kernel_size", ceil_mode=False))
    yield from _each("max_unpool", _settings("kernel_size", stride="kernel_size", pads=0))
    yield from _each("fractional_max_pool", _settings("kernel_size output_size output_ratio"), (2, 3))
    for name in ("adaptive_max_pool", "adaptive_avg_pool"):
        yield from _each(name, _settings("output_size"))


def _named(kinds: str, settings: str = "", **defaults: object) -> dict[str, Mapping[str, Setting]]:
    return {kind: _settings(settings, **defaults) for kind in kinds.split()}


# Kinds without parameters → their settings, those with a default and those without.
_PLAIN: Mapping[str, Mapping[str, Setting]] = {
    **_named("relu sigmoid log_sigmoid tanh silu mish selu softsign hardswish hardsigmoid tanhshrink identity"),
    **_named("softmax log_softmax softmin", "dim"),
    **_named("softshrink hardshrink", lambd=0.5),
    **_named("elu celu", alpha=1.0),
    "leaky_relu": _settings(negative_slope=0.01),
    "rrelu": _settings(lower=0.125, upper=1 / 3, random_in_evaluation=False),
    "gelu": _settings(approximate="none"),
    "glu": _settings(dim=-1),
    "hardtanh": _settings(min_val=-1.0, max_val=1.0),
    "softplus": _settings(beta=1.0, threshold=20.0),
    "threshold": _settings("threshold value"),
    "flatten": _settings(start_dim=1, end_dim=-1),
    "unflatten": _settings("dim unflattened_size"),
    "upsample": _settings("size scale_factor", mode="nearest", align_corners=False, recompute_scale_factor=False),
    "pixel_shuffle": _settings("upscale_factor"),
    "pixel_unshuffle": _settings("downscale_factor"),
    "channel_shuffle": _settings("groups"),
    "local_response_norm": _settings("size", alpha=1e-4, beta=0.75, k=1.0),
    "cosine_similarity": _settings(dim=1) | {"eps": Setting("least product of the two lengths", 1e-8)},
    "pairwise_distance": _settings(norm_type=2.0, keepdim=False) | {"eps": Setting("added to the difference", 1e-6)},
}
# Losses, all of which are reduced.
_LOSSES: Mapping[str, Mapping[str, Setting]] = {
    **_named("l1_loss mse_loss soft_margin_loss multilabel_margin_loss"),
    **_named("nll_loss", weight=None, ignore_index=-100),
    **_named("bce_loss multilabel_soft_margin_loss", weight=None),
    **_named("cosine_embedding_loss margin_ranking_loss", margin=0.0),
    "kl_div_loss": _settings(log_target=False),
    "huber_loss": _settings(delta=1.0),
    "smooth_l1_loss": _settings(beta=1.0),
    "bce_with_logits_loss": _settings(weight=None, pos_weight=None),
    "cross_entropy_loss": _settings(weight=None, ignore_index=-100, label_smoothing=0.0),
    "ctc_loss": _settings(blank=0, zero_infinity=False),
    "hinge_embedding_loss": _settings(margin=1.0),
    "multi_margin_loss": {"p": Setting("power of the margins", 1), **_settings(margin=1.0, weight=None)},
    "poisson_nll_loss": _settings(log_input=True, full=False) | {"eps": Setting("added before the logarithm", 1e-8)},
    "gaussian_nll_loss": _settings(full=False) | {"eps": Setting("least variance", 1e-6)},
    "triplet_margin_loss": _settings(margin=1.0, norm_type=2.0, swap=False)
    | {"eps": Setting("added to the differences", 1e-6)},
    "triplet_margin_with_distance_loss": _settings("distance_function", margin=1.0, swap=False),
}


def _kinds() -> Iterator[Kind]:
    linear = _settings("in_features out_features", bias=True, activation=None)
    yield Kind("linear", "linear", {**_WEIGHT_BIAS, **_SECOND_ORDER}, 2, linear)
    bilinear = _settings("in1_features in2_features out_features", bias=True)
    yield Kind("bilinear", "bilinear", _WEIGHT_BIAS, 3, bilinear, inferred=False)
    for family, extra in (("conv", _settings(padding_mode="zeros")), ("conv_transpose", _settings(output_padding=0))):
        for n in _SPACE:
            yield Kind(f"{family}{n}d", family, {**_WEIGHT_BIAS, **_SECOND_ORDER}, n + 2, _WINDOW | extra, n)
    norm = Kind("", "batch_norm", {**_AFFINE, **_STATISTICS}, settings=_BATCH_NORM, one_shape=True, statistics=True)
    yield from (replace(norm, name=f"batch_norm{n}d", dimensions=n) for n in _SPACE)
    yield replace(norm, name="sync_batch_norm", inferred=False)
    instance = replace(norm, family="instance_norm", settings=_INSTANCE_NORM, statistics=False)
    yield from (replace(instance, name=f"instance_norm{n}d", dimensions=n) for n in _SPACE)
    group = _settings("num_groups num_channels", eps=1e-5, affine=True)
    yield Kind("group_norm", "group_norm", _AFFINE, settings=group, one_shape=True)
    layer = _settings("normalized_shape", eps=1e-5, elementwise_affine=True, bias=True)
    yield Kind("layer_norm", "layer_norm", _AFFINE, settings=layer, one_shape=True, many_axes=True)
    rms = _settings("normalized_shape eps", elementwise_affine=True)
    yield Kind("rms_norm", "rms_norm", _roles("", "scale"), settings=rms, one_shape=True)
    yield Kind("prelu", "prelu", _roles("slope"), settings=_settings(num_parameters=1), one_shape=True)
    yield Kind("embedding", "embedding", {**_roles("weight"), **_SECOND_ORDER}, 2, _LOOKUP)
    bag = _LOOKUP | _settings(mode="mean", include_last_offset=False)
    yield Kind("embedding_bag", "embedding", _roles("weight"), 2, bag)
    yield from _recurrent("rnn", "", adds_biases=True, nonlinearity="tanh")
    yield from _recurrent("lstm", "ifgo", adds_biases=True)
    yield from _recurrent("gru", "rzn", adds_biases=False)
    yield Kind("multi_head_attention", "multi_head_attention", _ATTENTION, settings=_HEADS)
    yield Kind("transformer_encoder_layer", "transformer_encoder_layer", _ENCODER, settings=_BLOCK)
    yield Kind("transformer_decoder_layer", "transformer_decoder_layer", _DECODER, settings=_BLOCK)
    yield from _pools()
    yield from _each("constant_pad", _settings("pads value"))
    for name in ("reflection_pad", "replication_pad", "circular_pad"):
        yield from _each(name, _settings("pads"))
    for n in _SPACE:
        yield Kind(
            f"zero_pad{n}d",
            "zero_pad",
            settings=_settings("pads"),
            dimensions=n,
            means=(f"constant_pad{n}d", {"value": 0.0}),
        )
    yield Kind("relu6", "relu6", means=("hardtanh", {"min_val": 0.0, "max_val": 6.0}))
    yield Kind("softmax2d", "softmax2d", means=("softmax", {"dim": -3}))
    unfold = _settings("kernel_size", dilation=1, pads=0, stride=1)
    yield Kind("unfold", "unfold", settings=unfold, dimensions=2)
    yield Kind("fold", "fold", settings=_settings("output_size") | unfold, dimensions=2)
    yield from (Kind(name, name, settings=settings) for name, settings in _PLAIN.items())
    for name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
        yield Kind(name, name, settings=_settings(p=0.5), training=True)
    yield from (replace(kind, training=True) for kind in _each("dropout", _settings(p=0.5)))
    for name, settings in _LOSSES.items():
        yield Kind(name, name, settings={**settings, **_settings(reduction="mean")}, training=True)


#: every kind, by its name
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _kinds()}

#: what the letters of gates stand for; sigma is the logistic function
GATES: Mapping[str, str] = {
    "i": "input gate of an LSTM: sigma, what of the candidate is taken in",
    "f": "forget gate of an LSTM: sigma, what of the old cell stays",
    "g": "candidate of an LSTM: tanh",
    "o": "output gate of an LSTM: sigma, what of tanh(cell) is the new hidden state",
    "r": "reset gate of a GRU: sigma; it multiplies `weight_hh · hidden + bias_hh` of the candidate",
    "z": "update gate of a GRU: sigma, what of the old hidden state stays",
    "n": "candidate of a GRU: tanh",
}
