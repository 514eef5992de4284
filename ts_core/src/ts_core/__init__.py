"""Convert, compare and save neural-network weights and tensors across frameworks.

The verbs of this module take networks of any framework that has a plug-in, checkpoints of any format, and mappings of
names to tensors. :mod:`ts_core.migrator` and :mod:`ts_core.widget` offer the same under the names of the user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ts_core import errors
from ts_core._lazily import exported
from ts_core.capture import save, save_grad

if TYPE_CHECKING:
    from ts_core import migrator, widget
    from ts_core.checkpoints import Checkpoint, open_checkpoint
    from ts_core.comparison import Report, compare
    from ts_core.configuration import NetworkSettings, SettingsReport, compare_settings, settings
    from ts_core.conversion import ConversionReport, convert, save_checkpoint, transfer
    from ts_core.frameworks import fix_random, from_numpy, gradients, load_parameters, parameters, plugins, to_numpy
    from ts_core.location import LocateReport, locate
    from ts_core.mapping import WeightMap, weight_map
    from ts_core.running import Inputs, Trace, trace

__version__ = "0.1.0"

__all__ = [
    "Checkpoint",
    "ConversionReport",
    "Inputs",
    "LocateReport",
    "NetworkSettings",
    "Report",
    "SettingsReport",
    "Trace",
    "WeightMap",
    "__version__",
    "compare",
    "compare_settings",
    "convert",
    "errors",
    "fix_random",
    "from_numpy",
    "gradients",
    "load_parameters",
    "locate",
    "migrator",
    "open_checkpoint",
    "parameters",
    "plugins",
    "save",
    "save_checkpoint",
    "save_grad",
    "settings",
    "to_numpy",
    "trace",
    "transfer",
    "weight_map",
    "widget",
]

# Names that bring a whole room along, and where each is: imported when they are first asked for, so that
# `import ts_core` costs little more than `import numpy`. The two verbs that compilers meet inside a network are there.
__getattr__, __dir__ = exported(
    __name__,
    {
        "Checkpoint": "ts_core.checkpoints",
        "ConversionReport": "ts_core.conversion",
        "Inputs": "ts_core.running",
        "LocateReport": "ts_core.location",
        "NetworkSettings": "ts_core.configuration",
        "Report": "ts_core.comparison",
        "SettingsReport": "ts_core.configuration",
        "Trace": "ts_core.running",
        "WeightMap": "ts_core.mapping",
        "compare": "ts_core.comparison",
        "compare_settings": "ts_core.configuration",
        "convert": "ts_core.conversion",
        "fix_random": "ts_core.frameworks",
        "from_numpy": "ts_core.frameworks",
        "gradients": "ts_core.frameworks",
        "load_parameters": "ts_core.frameworks",
        "locate": "ts_core.location",
        "migrator": "ts_core.migrator",
        "open_checkpoint": "ts_core.checkpoints",
        "parameters": "ts_core.frameworks",
        "plugins": "ts_core.frameworks",
        "save_checkpoint": "ts_core.conversion",
        "settings": "ts_core.configuration",
        "to_numpy": "ts_core.frameworks",
        "trace": "ts_core.running",
        "transfer": "ts_core.conversion",
        "weight_map": "ts_core.mapping",
        "widget": "ts_core.widget",
    },
)
