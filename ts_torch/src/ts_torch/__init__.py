"""The PyTorch plug-in of ts-core. Importing it does not import torch."""

from __future__ import annotations

from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.hooks import hookimpl
from ts_torch.checkpoints import FORMATS
from ts_torch.gradients import extract_gradients, on_gradient
from ts_torch.graph import hide_from_compiler
from ts_torch.layers import layer_rules
from ts_torch.networks import iter_layers
from ts_torch.parameters import iter_parameters, load_parameters
from ts_torch.randomness import seed
from ts_torch.running import in_double, trace_network
from ts_torch.tensors import tensor_from_numpy, tensor_to_numpy

__all__ = [
    "extract_gradients",
    "framework_info",
    "hide_from_compiler",
    "in_double",
    "iter_layers",
    "iter_parameters",
    "layer_rules",
    "load_parameters",
    "on_gradient",
    "seed",
    "tensor_from_numpy",
    "tensor_to_numpy",
    "trace_network",
]


@hookimpl
def framework_info() -> FrameworkInfo:
    """PyTorch, its tensors and networks, and its files."""
    return FrameworkInfo(
        name="torch",
        distribution="torch",
        title="torch",
        cure='pip install "ts-core[torch]"',
        tags=("pt",),
        classes=("torch.Tensor", "torch.nn.Module"),
        formats=FORMATS,
    )
