"""How MindSpore spells the canonical layers; `mindspore.mint.nn` uses torch's names."""

from __future__ import annotations

from ts_core.hookspecs import hookimpl
from ts_core.mapping.transforms import InsertAxis
from ts_core.model import LayerRule

_WEIGHT_BIAS = {"weight": "weight", "bias": "bias"}
_NORM = {"gamma": "scale", "beta": "bias"}
_BATCH_NORM = {"moving_mean": "mean", "moving_variance": "variance", **_NORM}
_ROOT_BATCH_NORM = {"moving_mean": "mean", "moving_variance": "variance"}
_CONV1D = {"weight": InsertAxis(2)}  # runs as a 2-D convolution over a height of 1

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.Dense", "linear", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.Conv1d", "conv1d", _WEIGHT_BIAS, _CONV1D),
    LayerRule("mindspore.nn.Conv2d", "conv2d", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.Conv3d", "conv3d", _WEIGHT_BIAS),
    LayerRule("mindspore.nn.BatchNorm1d", "batch_norm1d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.BatchNorm2d", "batch_norm2d", _BATCH_NORM, root_names=_ROOT_BATCH_NORM),
    LayerRule("mindspore.nn.BatchNorm3d", "batch_norm3d", {f"bn2d.{k}": role for k, role in _BATCH_NORM.items()}),
    LayerRule("mindspore.nn.LayerNorm", "layer_norm", _NORM),
    LayerRule("mindspore.nn.Embedding", "embedding", {"embedding_table": "weight"}),
    LayerRule("mindspore.nn.PReLU", "prelu", {"w": "weight"}),
)


@hookimpl
def layer_rules() -> tuple[LayerRule, ...]:
    """The table above."""
    return RULES
