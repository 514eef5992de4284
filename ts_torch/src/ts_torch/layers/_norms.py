"""Norms."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_torch.layers._spelling import BIAS, NORM, same

_BATCH_NORM = {**NORM, "running_mean": "mean", "running_var": "variance", "num_batches_tracked": "batch_count"}
_BATCH_NORM_SETTINGS = same("num_features eps momentum affine track_running_stats")

RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.BatchNorm1d", "batch_norm1d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.BatchNorm2d", "batch_norm2d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.BatchNorm3d", "batch_norm3d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.SyncBatchNorm", "sync_batch_norm", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.InstanceNorm1d", "instance_norm1d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.InstanceNorm2d", "instance_norm2d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.InstanceNorm3d", "instance_norm3d", _BATCH_NORM, settings=_BATCH_NORM_SETTINGS),
    LayerRule("torch.nn.GroupNorm", "group_norm", NORM, settings=same("num_groups num_channels eps affine")),
    LayerRule(
        "torch.nn.LayerNorm", "layer_norm", NORM, settings=same("normalized_shape eps elementwise_affine", bias=BIAS)
    ),
    LayerRule(
        "torch.nn.RMSNorm", "rms_norm", {"weight": "scale"}, settings=same("normalized_shape eps elementwise_affine")
    ),
)
