"""The PyTorch plug-in of ts-core. Importing it does not import torch."""

from __future__ import annotations

from ts_core.hookspecs import hookimpl
from ts_core.model import FrameworkInfo
from ts_torch.layers import layer_rules
from ts_torch.parameters import iter_parameters, load_parameters
from ts_torch.tensors import tensor_from_numpy, tensor_to_numpy

__all__ = [
    "framework_info",
    "iter_parameters",
    "layer_rules",
    "load_parameters",
    "tensor_from_numpy",
    "tensor_to_numpy",
]


@hookimpl
def framework_info() -> FrameworkInfo:
    """PyTorch, its tensors and networks, and its files."""
    return FrameworkInfo(
        name="torch",
        distribution="torch",
        classes=("torch.Tensor", "torch.nn.Module"),
        formats={"torch": (".pth", ".pt", ".bin")},
    )
