"""Norms."""

from __future__ import annotations

from typing import Any

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled, Spelling
from ts_mindspore.layers._spelling import BIAS, NORM, same

_BATCH_NORM = {"moving_mean": "mean", "moving_variance": "variance", **NORM}
_ROOT_BATCH_NORM = {"moving_mean": "mean", "moving_variance": "variance"}
_MINT_NORM = {"weight": "scale", "bias": "bias"}
_MINT_BATCH_NORM = {
    **_MINT_NORM,
    "running_mean": "mean",
    "running_var": "variance",
    "num_batches_tracked": "batch_count",
}


def _is_affine(layer: Any) -> bool:
    """A norm told not to be affine has its parameters all the same: ones and zeros, that are not trained."""
    scale, shift = layer.gamma, layer.beta
    return bool(scale.requires_grad or (scale.asnumpy() != 1).any() or (shift.asnumpy() != 0).any())


_NORM_SETTINGS = same("num_features eps momentum", affine=_is_affine)  # `momentum` is 1 - what the batch norm was told
_BATCH_NORM_SETTINGS = {
    **_NORM_SETTINGS,
    # None: the batch's in training, else the running ones. False: these in training as well.
    "track_running_stats": Spelled("use_batch_statistics", {None: True, True: False, False: "in training as well"}.get),
}
_BATCH_NORM3D_SETTINGS: dict[str, Spelling] = {
    **{name: f"bn2d.{name}" for name in ("num_features", "eps", "momentum")},
    "affine": lambda layer: _is_affine(layer.bn2d),
    "track_running_stats": Spelled(
        "bn2d.use_batch_statistics", {None: True, True: False, False: "in training as well"}.get
    ),
}
_INSTANCE_NORM_SETTINGS = {**_NORM_SETTINGS, "track_running_stats": Always(False)}
_LAYER_NORM_SETTINGS: dict[str, Spelling] = {
    "normalized_shape": Spelled("normalized_shape begin_norm_axis begin_params_axis", "statistics_axes"),
    "eps": "epsilon",
    "elementwise_affine": Always(True),
    "bias": Always(True),
}
_MINT_BATCH_NORM_SETTINGS = same("num_features eps momentum affine track_running_stats")

RULES: tuple[LayerRule, ...] = (
    LayerRule(
        "mindspore.nn.BatchNorm1d",
        "batch_norm1d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_BATCH_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.BatchNorm2d",
        "batch_norm2d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_BATCH_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.BatchNorm3d",
        "batch_norm3d",
        {f"bn2d.{name}": role for name, role in _BATCH_NORM.items()},
        settings=_BATCH_NORM3D_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.SyncBatchNorm",
        "sync_batch_norm",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_BATCH_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.InstanceNorm1d",
        "instance_norm1d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_INSTANCE_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.InstanceNorm2d",
        "instance_norm2d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_INSTANCE_NORM_SETTINGS,
    ),
    LayerRule(
        "mindspore.nn.InstanceNorm3d",
        "instance_norm3d",
        _BATCH_NORM,
        root_names=_ROOT_BATCH_NORM,
        settings=_INSTANCE_NORM_SETTINGS,
    ),
    LayerRule("mindspore.nn.GroupNorm", "group_norm", NORM, settings=same("num_groups num_channels eps affine")),
    LayerRule("mindspore.nn.LayerNorm", "layer_norm", NORM, settings=_LAYER_NORM_SETTINGS),
    LayerRule("mindspore.mint.nn.BatchNorm1d", "batch_norm1d", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS),
    LayerRule("mindspore.mint.nn.BatchNorm2d", "batch_norm2d", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS),
    LayerRule("mindspore.mint.nn.BatchNorm3d", "batch_norm3d", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS),
    LayerRule(
        "mindspore.mint.nn.SyncBatchNorm", "sync_batch_norm", _MINT_BATCH_NORM, settings=_MINT_BATCH_NORM_SETTINGS
    ),
    LayerRule(
        "mindspore.mint.nn.GroupNorm", "group_norm", _MINT_NORM, settings=same("num_groups num_channels eps affine")
    ),
    LayerRule(
        "mindspore.nn.LayerNormExt",
        "layer_norm",
        _MINT_NORM,
        settings=same("normalized_shape eps elementwise_affine", bias=BIAS),
    ),
)
