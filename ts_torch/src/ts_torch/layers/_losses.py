"""Losses."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled, Spelling
from ts_torch.layers._spelling import same

_WEIGHT = Spelled("weight", "numbers")


def _loss(names: str = "", **spelled: Spelling) -> dict[str, Spelling]:
    return same(f"reduction {names}", **spelled)


# class → kind and settings
_TABLE: dict[str, tuple[str, dict[str, Spelling]]] = {
    "L1Loss": ("l1_loss", _loss()),
    "MSELoss": ("mse_loss", _loss()),
    "SmoothL1Loss": ("smooth_l1_loss", _loss("beta")),
    "HuberLoss": ("huber_loss", _loss("delta")),
    "SoftMarginLoss": ("soft_margin_loss", _loss()),
    "MultiLabelMarginLoss": ("multilabel_margin_loss", _loss()),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", _loss(weight=_WEIGHT)),
    "MultiMarginLoss": ("multi_margin_loss", _loss("p margin", weight=_WEIGHT)),
    "MarginRankingLoss": ("margin_ranking_loss", _loss("margin")),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", _loss("margin")),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", _loss("margin")),
    "TripletMarginLoss": ("triplet_margin_loss", _loss("margin swap eps", norm_type="p")),
    "TripletMarginWithDistanceLoss": (
        "triplet_margin_with_distance_loss",
        _loss("margin swap", distance_function=Spelled("distance_function", "function_name")),
    ),
    "BCELoss": ("bce_loss", _loss(weight=_WEIGHT)),
    "BCEWithLogitsLoss": (
        "bce_with_logits_loss",
        _loss(weight=_WEIGHT, pos_weight=Spelled("pos_weight", "numbers")),
    ),
    "NLLLoss": ("nll_loss", _loss("ignore_index", weight=_WEIGHT)),
    "CrossEntropyLoss": ("cross_entropy_loss", _loss("ignore_index label_smoothing", weight=_WEIGHT)),
    "KLDivLoss": ("kl_div_loss", _loss("log_target")),
    "CTCLoss": ("ctc_loss", _loss("blank zero_infinity")),
    "PoissonNLLLoss": ("poisson_nll_loss", _loss("log_input full eps")),
    "GaussianNLLLoss": ("gaussian_nll_loss", _loss("full eps")),
}
RULES: tuple[LayerRule, ...] = tuple(
    LayerRule(f"torch.nn.{cls}", kind, {}, settings=settings) for cls, (kind, settings) in _TABLE.items()
)
