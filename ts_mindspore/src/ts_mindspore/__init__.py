"""The MindSpore plug-in of ts-core. Importing it does not import MindSpore."""

from __future__ import annotations

from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.hooks import hookimpl
from ts_mindspore.checkpoints import FORMATS
from ts_mindspore.gradients import extract_gradients, on_gradient
from ts_mindspore.graph import graph_function
from ts_mindspore.layers import layer_rules
from ts_mindspore.networks import iter_layers
from ts_mindspore.parameters import iter_parameters, load_parameters
from ts_mindspore.randomness import seed
from ts_mindspore.running import in_double, trace_network
from ts_mindspore.tensors import tensor_from_numpy, tensor_to_numpy

__all__ = [
    "extract_gradients",
    "framework_info",
    "graph_function",
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
    """MindSpore, its tensors and networks, and its files."""
    return FrameworkInfo(
        name="mindspore",
        distribution="mindspore",
        title="MindSpore",
        cure='pip install "ts-core[mindspore]"',
        tags=("ms",),
        classes=("mindspore.Tensor", "mindspore.nn.Cell"),
        formats=FORMATS,
    )
