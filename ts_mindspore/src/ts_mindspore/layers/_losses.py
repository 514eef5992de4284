"""Losses."""

from __future__ import annotations

from typing import Any

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling
from ts_mindspore.layers._spelling import same

_WEIGHT = Spelled("weight", "numbers")
# What of a loss without an attribute of the name keeps its reduction.
_BY_FLAGS = Spelled("reduce average", lambda reduces, means: ("mean" if means else "sum") if reduces else "none")


def _loss(names: str = "", **spelled: Spelling) -> dict[str, Spelling]:
    return same(names, **{"reduction": Spelled("reduction"), **spelled})


def _of_operator(number: Any) -> str:
    """Operators keep a reduction as a number."""
    return number if isinstance(number, str) else ("sum", "mean", "none")[number]


def _distance(function: Any) -> str:
    """The name of the function; that of torch's layer for the one both take by default."""
    name = str(getattr(function, "__name__", type(function).__name__)).lower()
    return "pairwisedistance" if name == "pairwise_distance" else name


# class → kind and settings
_TABLE: dict[str, tuple[str, dict[str, Spelling]]] = {
    "nn.L1Loss": ("l1_loss", _loss()),
    "nn.MAELoss": ("l1_loss", _loss(reduction=_BY_FLAGS)),
    "nn.MSELoss": ("mse_loss", _loss(reduction=_BY_FLAGS)),
    "nn.SmoothL1Loss": ("smooth_l1_loss", _loss("beta")),
    "nn.HuberLoss": ("huber_loss", _loss("delta")),
    "nn.SoftMarginLoss": ("soft_margin_loss", _loss()),
    "nn.MultilabelMarginLoss": (
        "multilabel_margin_loss",
        _loss(reduction=Spelled("multilabel_margin_loss.reduction", _of_operator)),
    ),
    "nn.MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", _loss(weight=_WEIGHT)),
    "nn.MultiMarginLoss": (
        "multi_margin_loss",
        {
            "p": "multi_margin_loss.p",
            "margin": "multi_margin_loss.margin",
            "weight": _WEIGHT,
            "reduction": Spelled("multi_margin_loss.reduction", _of_operator),
        },
    ),
    "nn.MarginRankingLoss": ("margin_ranking_loss", _loss("margin")),
    "nn.HingeEmbeddingLoss": ("hinge_embedding_loss", _loss("margin")),
    "nn.CosineEmbeddingLoss": ("cosine_embedding_loss", _loss("margin", reduction=_BY_FLAGS)),
    "nn.TripletMarginLoss": ("triplet_margin_loss", _loss("margin swap eps", norm_type="p")),
    "nn.TripletMarginWithDistanceLoss": (
        "triplet_margin_with_distance_loss",
        _loss("margin swap", distance_function=Spelled("distance_function", _distance)),
    ),
    "nn.BCELoss": ("bce_loss", _loss(weight=_WEIGHT)),
    "nn.BCEWithLogitsLoss": (
        "bce_with_logits_loss",
        _loss(weight=_WEIGHT, pos_weight=Spelled("pos_weight", "numbers")),
    ),
    "nn.NLLLoss": ("nll_loss", _loss("ignore_index", weight=_WEIGHT)),
    "nn.CrossEntropyLoss": ("cross_entropy_loss", _loss("ignore_index label_smoothing", weight=_WEIGHT)),
    "nn.SoftmaxCrossEntropyWithLogits": (
        "cross_entropy_loss",
        _loss(weight=Always(None), ignore_index=Always(None), label_smoothing=Always(0.0)),
    ),
    "nn.KLDivLoss": ("kl_div_loss", _loss(log_target=Always(False))),
    "nn.CTCLoss": ("ctc_loss", _loss("blank zero_infinity")),
    "nn.PoissonNLLLoss": ("poisson_nll_loss", _loss("log_input full eps", reduction=_BY_FLAGS)),
    "nn.GaussianNLLLoss": ("gaussian_nll_loss", _loss("full eps")),
    # mindspore.mint.nn, some of whose classes are defined inside mindspore.nn under other names
    "nn.L1LossExt": ("l1_loss", _loss()),
    "mint.nn.MSELoss": ("mse_loss", _loss()),
    "mint.nn.SmoothL1Loss": ("smooth_l1_loss", _loss("beta")),
    "mint.nn.CosineEmbeddingLoss": ("cosine_embedding_loss", _loss("margin")),
    "mint.nn.BCELoss": (
        "bce_loss",
        {"weight": Spelled("bce_loss.weight", "numbers"), "reduction": "bce_loss.reduction"},
    ),
    "mint.nn.BCEWithLogitsLoss": (
        "bce_with_logits_loss",
        {
            "weight": _WEIGHT,
            "pos_weight": Spelled("pos_weight", "numbers"),
            "reduction": Spelled("bce_with_logits.reduction", _of_operator),
        },
    ),
    "mint.nn.NLLLoss": ("nll_loss", _loss("ignore_index", weight=_WEIGHT)),
    "mint.nn.CrossEntropyLoss": ("cross_entropy_loss", _loss("ignore_index label_smoothing", weight=_WEIGHT)),
    "mint.nn.KLDivLoss": ("kl_div_loss", _loss("log_target")),
}
RULES: tuple[LayerRule, ...] = tuple(
    LayerRule(f"mindspore.{cls}", kind, {}, settings=settings) for cls, (kind, settings) in _TABLE.items()
)
