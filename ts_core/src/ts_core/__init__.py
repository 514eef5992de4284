"""Convert, compare and save neural-network weights and tensors across frameworks.

The verbs of this module take networks of any framework that has a plug-in, checkpoints of any format, and mappings of
names to tensors. :mod:`ts_core.migrator` and :mod:`ts_core.widget` offer the same under the names of the user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ts_core import errors
from ts_core.capture import save, save_grad
from ts_core.comparison.verb import compare
from ts_core.frameworks.gradients import gradients
from ts_core.frameworks.parameters import load_parameters, parameters
from ts_core.frameworks.registry import plugins
from ts_core.frameworks.randomness import fix_random
from ts_core.frameworks.tensors import from_numpy, to_numpy

if TYPE_CHECKING:
    from ts_core import migrator, widget
    from ts_core.checkpoints import Checkpoint, open_checkpoint, save_checkpoint
    from ts_core.conversion.convert import convert
    from ts_core.comparison.report import Report
    from ts_core.conversion.report import ConversionReport
    from ts_core.conversion.transfer import transfer
    from ts_core.mapping.verb import weight_map
    from ts_core.mapping.weight_map import WeightMap

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
    "transfer",
    "weight_map",
    "widget",
]

# Names that bring a whole room along, and the module each is in: imported when they are first asked for, so that
# `import ts_core` costs little more than `import numpy`. A verb that is called like a module of this package must be
# imported above instead: the import system would put the module in its place.
_ON_DEMAND = {
    "Checkpoint": "ts_core.checkpoints",
    "ConversionReport": "ts_core.conversion.report",
    "Report": "ts_core.comparison.report",
    "WeightMap": "ts_core.mapping.weight_map",
    "convert": "ts_core.conversion.convert",
    "migrator": "ts_core",
    "open_checkpoint": "ts_core.checkpoints",
    "save_checkpoint": "ts_core.checkpoints",
    "transfer": "ts_core.conversion.transfer",
    "weight_map": "ts_core.mapping.verb",
    "widget": "ts_core",
}


def __getattr__(name: str) -> object:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = _ON_DEMAND[name]
    value: object = import_module(f"{home}.{name}") if home == __name__ else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
