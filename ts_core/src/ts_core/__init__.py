"""Convert, compare and save neural-network weights and tensors across frameworks.

The verbs of this module take networks of any framework that has a plug-in, checkpoints of any format, and mappings of
names to tensors. :mod:`ts_core.migrator` and :mod:`ts_core.widget` offer the same under the names of the user guide.
"""

from __future__ import annotations

from ts_core import errors, migrator, widget
from ts_core.capture import save, save_grad
from ts_core.checkpoints import Checkpoint, open_checkpoint, save_checkpoint
from ts_core.checkpoints.convert import convert
from ts_core.compare.report import Report
from ts_core.compare.verb import compare
from ts_core.conversion import ConversionReport
from ts_core.gradients import gradients
from ts_core.mapping.verbs import weight_map
from ts_core.mapping.weight_map import WeightMap
from ts_core.parameters import load_parameters, parameters
from ts_core.plugins import plugins
from ts_core.randomness import fix_random
from ts_core.tensors import from_numpy, to_numpy

__version__ = "0.1.0"

__all__ = [
    "Checkpoint",
    "ConversionReport",
    "Report",
    "WeightMap",
    "__version__",
    "compare",
    "convert",
    "errors",
    "fix_random",
    "from_numpy",
    "gradients",
    "load_parameters",
    "migrator",
    "open_checkpoint",
    "parameters",
    "plugins",
    "save",
    "save_checkpoint",
    "save_grad",
    "to_numpy",
    "weight_map",
    "widget",
]
