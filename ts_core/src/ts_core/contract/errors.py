"""The exceptions and warnings of the project, for plug-ins: those of :mod:`ts_core.errors`.

A hook that recognised its object and then failed raises one of these where one fits.
"""

from ts_core.errors import ArgumentError as ArgumentError
from ts_core.errors import ArgumentTypeError as ArgumentTypeError
from ts_core.errors import CaptureError as CaptureError
from ts_core.errors import CaptureWarning as CaptureWarning
from ts_core.errors import CheckpointError as CheckpointError
from ts_core.errors import CheckpointNotFoundError as CheckpointNotFoundError
from ts_core.errors import CheckpointWriteError as CheckpointWriteError
from ts_core.errors import ConversionWarning as ConversionWarning
from ts_core.errors import FrameworkMissingError as FrameworkMissingError
from ts_core.errors import NoParametersError as NoParametersError
from ts_core.errors import NotBuiltError as NotBuiltError
from ts_core.errors import PluginError as PluginError
from ts_core.errors import TsError as TsError
from ts_core.errors import UnsafeCheckpointError as UnsafeCheckpointError
from ts_core.errors import UnsupportedDtypeError as UnsupportedDtypeError
from ts_core.errors import UnsupportedTensorError as UnsupportedTensorError
from ts_core.errors import warn as warn
