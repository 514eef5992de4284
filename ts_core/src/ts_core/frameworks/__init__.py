"""The registry of plug-ins, and everything that asks them: about tensors, layers, parameters, gradients, randomness.

The core knows no framework. Whoever needs something of one asks here, and gets arrays and nouns of the contract.
"""

from ts_core.frameworks._gradients import gradients
from ts_core.frameworks._known import CURES
from ts_core.frameworks._layers import layers_of, name_in_files
from ts_core.frameworks._parameters import load_parameters, parameters
from ts_core.frameworks._randomness import fix_random, seed_generators
from ts_core.frameworks._registry import (
    check_import,
    framework_called,
    framework_of,
    framework_of_tag,
    no_plugin,
    plugins,
    registry,
    require_framework,
    title_of,
)
from ts_core.frameworks._settings import ToldLayer, described, kind_of, settings, told_layers
from ts_core.frameworks._tensors import from_numpy, to_numpy

__all__ = [
    "CURES",
    "ToldLayer",
    "check_import",
    "described",
    "fix_random",
    "framework_called",
    "framework_of",
    "framework_of_tag",
    "from_numpy",
    "gradients",
    "kind_of",
    "layers_of",
    "load_parameters",
    "name_in_files",
    "no_plugin",
    "parameters",
    "plugins",
    "registry",
    "require_framework",
    "seed_generators",
    "settings",
    "title_of",
    "to_numpy",
    "told_layers",
]
