"""Who does the pieces of a large piece of work: threads, processes of our own, or an executor of the caller's."""

from ts_core.work._processes import SHARE, Crew

__all__ = ["SHARE", "Crew"]
