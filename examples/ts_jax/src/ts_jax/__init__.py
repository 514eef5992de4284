"""The JAX plug-in of ts-core: arrays of JAX, networks of Flax NNX. Importing it imports neither.

JAX has no file format of its own and no global random generator, so the hooks for them are left out.
"""

from __future__ import annotations

from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.hooks import hookimpl
from ts_jax.gradients import extract_gradients, on_gradient
from ts_jax.layers import layer_rules
from ts_jax.networks import iter_layers
from ts_jax.parameters import iter_parameters, load_parameters
from ts_jax.running import trace_network
from ts_jax.tensors import tensor_from_numpy, tensor_to_numpy

__all__ = [
    "extract_gradients",
    "framework_info",
    "iter_layers",
    "iter_parameters",
    "layer_rules",
    "load_parameters",
    "on_gradient",
    "tensor_from_numpy",
    "tensor_to_numpy",
    "trace_network",
]


@hookimpl
def framework_info() -> FrameworkInfo:
    """JAX's arrays, and the variables and modules of Flax NNX."""
    return FrameworkInfo(
        name="jax",
        distribution="jax",
        classes=("jax.Array", "flax.nnx.Variable", "flax.nnx.Module"),
        title="JAX",
        cure='pip install "ts-jax[framework]"',
        contract=2,
    )
