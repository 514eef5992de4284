"""Every number about a pair of arrays: what adds up and what is shown of it, and the walk over the blocks."""

from ts_core.comparison._kernel import BLOCK, boxes, measure, working_dtype
from ts_core.comparison._sums import METRICS, Metrics, Sums, Tolerance, scalar

__all__ = ["BLOCK", "METRICS", "Metrics", "Sums", "Tolerance", "boxes", "measure", "scalar", "working_dtype"]
