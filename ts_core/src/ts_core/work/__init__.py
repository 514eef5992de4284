"""Who does the pieces of a large piece of work: threads, processes of our own, or an executor of the caller's."""

from ts_core.work._processes import SHARE
from ts_core.work._tasks import check_workers, processors, progress_bar, run, shares_memory

__all__ = ["SHARE", "check_workers", "processors", "progress_bar", "run", "shares_memory"]
