"""Running a network on given inputs."""

from ts_core.running._execution import run, sample_arrays

__all__ = ["run", "sample_arrays"]
