"""The exceptions and warnings of the project, for plug-ins: those of :mod:`ts_core.errors`.

A hook that recognised its object and then failed raises one of these where one fits.
"""

from ts_core.errors import (
    ArgumentError,
    ArgumentTypeError,
    CaptureError,
    CaptureWarning,
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointWriteError,
    FrameworkMissingError,
    NoParametersError,
    PluginError,
    TsError,
    UnsafeCheckpointError,
    UnsupportedDtypeError,
    UnsupportedTensorError,
    warn,
)

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "CaptureError",
    "CaptureWarning",
    "CheckpointError",
    "CheckpointNotFoundError",
    "CheckpointWriteError",
    "FrameworkMissingError",
    "NoParametersError",
    "PluginError",
    "TsError",
    "UnsafeCheckpointError",
    "UnsupportedDtypeError",
    "UnsupportedTensorError",
    "warn",
]
