"""How torch spells the canonical layers."""

from __future__ import annotations

from ts_core.hookspecs import hookimpl
from ts_core.model import LayerRule

_WEIGHT_BIAS = {"weight": "weight", "bias": "bias"}
_NORM = {"weight": "scale", "bias": "bias"}
_BATCH_NORM = {**_NORM, "running_mean": "mean", "running_var": "variance", "num_batches_tracked": "batch_count"}

RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.Linear", "linear", _WEIGHT_BIAS),
    LayerRule("torch.nn.Conv1d", "conv1d", _WEIGHT_BIAS),
    LayerRule("torch.nn.Conv2d", "conv2d", _WEIGHT_BIAS),
    LayerRule("torch.nn.Conv3d", "conv3d", _WEIGHT_BIAS),
    LayerRule("torch.nn.BatchNorm1d", "batch_norm1d", _BATCH_NORM),
    LayerRule("torch.nn.BatchNorm2d", "batch_norm2d", _BATCH_NORM),
    LayerRule("torch.nn.BatchNorm3d", "batch_norm3d", _BATCH_NORM),
    LayerRule("torch.nn.LayerNorm", "layer_norm", _NORM),
    LayerRule("torch.nn.Embedding", "embedding", {"weight": "weight"}),
    LayerRule("torch.nn.PReLU", "prelu", {"weight": "weight"}),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
