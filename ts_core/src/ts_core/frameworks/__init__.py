"""The registry of plug-ins, and everything that asks them: about tensors, layers, parameters, gradients, randomness.

The core knows no framework. Whoever needs something of one asks here, and gets arrays and nouns of the contract.
"""

from ts_core.frameworks._gradients import gradients
from ts_core.frameworks._layers import LayerTable
from ts_core.frameworks._parameters import check_fit, load_parameters, parameters
from ts_core.frameworks._randomness import fix_random
from ts_core.frameworks._registry import (
    CURES,
    check_import,
    framework_called,
    framework_of,
    no_plugin,
    plugins,
    registry,
    require_framework,
)
from ts_core.frameworks._tensors import from_numpy, to_numpy

__all__ = [
    "CURES",
    "LayerTable",
    "check_fit",
    "check_import",
    "fix_random",
    "framework_called",
    "framework_of",
    "from_numpy",
    "gradients",
    "load_parameters",
    "no_plugin",
    "parameters",
    "plugins",
    "registry",
    "require_framework",
    "to_numpy",
]
