"""Running a network of any framework on given inputs, and what it returned as arrays."""

from ts_core.running._execution import run, sample_arrays

__all__ = ["run", "sample_arrays"]
