"""The exceptions and warnings a user can meet.

Every exception is a :class:`TsError` and also the built-in exception that a caller would catch without knowing this
package. A message names the file, parameter or argument concerned, what was wrong with it, and what to do. Whatever it
quotes from a file, a message is safe to show: see :mod:`ts_core.text`.
"""

from __future__ import annotations

import sys
import warnings

from ts_core.text import safe


class Told(Exception):  # noqa: N818 - of warnings as well
    """What a user is told: its message is safe to show."""

    def __str__(self) -> str:
        return safe(self.args[0] if len(self.args) == 1 else super().__str__())


class TsError(Told):
    """Base of every exception that this package raises on purpose."""


class ArgumentError(TsError, ValueError):
    """An argument has a value that the function cannot work with."""


class ArgumentTypeError(TsError, TypeError):
    """An argument has the wrong type."""


class NoPluginError(TsError, TypeError):
    """No installed plug-in recognises an object."""


class FrameworkMissingError(TsError, ImportError):
    """The plug-in is installed, the framework that the job needs is not (or cannot be imported)."""


class UnsupportedTensorError(TsError, TypeError):
    """A tensor has a layout or dtype that has no dense array (sparse, quantised, on the meta device)."""


class CheckpointError(TsError, ValueError):
    """A file is not the checkpoint it should be: unknown, damaged, or without parameters."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no file or folder of that name."""


class UnsafeCheckpointError(CheckpointError):
    """A file asks for something that is not done on a file's behalf, such as running code."""


class UnsupportedDtypeError(CheckpointError, TypeError):
    """A format cannot hold a dtype, or a shape, that it was asked to hold."""


class NoParametersError(CheckpointError):
    """A file was read, and what it holds are no parameters: an optimizer's state, say."""


class CheckpointWriteError(TsError, OSError):
    """A checkpoint could not be written: no room, no permission. What was there before is still there."""

    def __str__(self) -> str:
        return safe(self.strerror)


class WeightMapError(TsError, ValueError):
    """A weight map and the names, or shapes, it is applied to do not belong together."""


class WeightMapNotFoundError(WeightMapError, FileNotFoundError):
    """There is no weight-map file of that name."""


class NotBuiltError(ArgumentError):
    """A network has no parameters yet, because it makes them when it is first called: build it before."""


class LoadError(TsError, ValueError):
    """Arrays do not fit the network they were to be loaded into; the network is unchanged."""


class ComparisonError(TsError, ValueError):
    """Two things cannot be compared at all, for instance because no name of one is in the other."""


class SettingsError(TsError, ValueError):
    """Settings cannot be read, or compared: no settings file, one of another version, networks of nothing in common."""


class SettingsNotFoundError(SettingsError, FileNotFoundError):
    """There is no settings file of that name."""


class RunError(TsError, RuntimeError):
    """A network raised while it was run; the message names the layer, and the network's own exception is the cause."""


class CaptureError(TsError, RuntimeError):
    """A tensor inside a running network could not be read, for instance because its device is lost."""


class SaveError(TsError, OSError):
    """A tensor could not be written: a full disk, a read-only folder. No partial file stays."""


class PluginError(TsError, RuntimeError):
    """A plug-in does not keep the contract; it is ignored and reported."""


class CaptureWarning(Told, UserWarning):
    """Something was to be captured that will not come: the gradient of a tensor that has none."""


class PluginWarning(Told, UserWarning):
    """A plug-in is broken or in conflict with another; the others still work."""


class ComparisonWarning(Told, UserWarning):
    """A comparison was not quite what was asked for: a key of ``tolerances`` that fits no pair."""


class ConversionWarning(Told, UserWarning):
    """Something was moved, and not all of it arrived as it was: metadata, elements that a dtype cannot hold."""


class WorkerWarning(Told, RuntimeWarning):
    """Processes that shared the work were lost, perhaps for want of memory; it was done without them."""


class WeightMapWarning(Told, UserWarning):
    """Weights were moved, and the outputs may differ all the same: biases without a place, or a choice by order."""


def warn(warning: Warning) -> None:
    """Warn the user's own line: the nearest one that is not in this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __name__.partition(".")[0]:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)
