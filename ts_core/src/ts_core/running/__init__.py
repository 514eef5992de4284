"""Running a network of any framework on given inputs, told to an observer call by call, or kept as a trace."""

from ts_core.running._execution import run
from ts_core.running._inputs import Inputs
from ts_core.running._recording import (
    Recorder,
    array_of,
    calling_lines,
    framework_packages,
    mode_of,
    seeded,
    settings_of,
    trace,
)
from ts_core.running._store import Store, as_bytes
from ts_core.running._trace import Line, Numbering, Slot, Trace, TracedCall, slot_name
from ts_core.running._tracing import as_inputs, observe

__all__ = [
    "Inputs",
    "Line",
    "Numbering",
    "Recorder",
    "Slot",
    "Store",
    "Trace",
    "TracedCall",
    "array_of",
    "as_bytes",
    "as_inputs",
    "calling_lines",
    "framework_packages",
    "mode_of",
    "observe",
    "run",
    "seeded",
    "settings_of",
    "slot_name",
    "trace",
]
