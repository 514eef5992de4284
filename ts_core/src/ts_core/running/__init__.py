"""Running a network of any framework on given inputs, with an observer that is told of every call of every layer."""

from ts_core.running._execution import run
from ts_core.running._tracing import as_inputs, observe

__all__ = ["as_inputs", "observe", "run"]
