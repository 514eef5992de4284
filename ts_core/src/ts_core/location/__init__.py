"""``ts.locate``: where two networks part on the same inputs, and why: pairs of calls, noise, isolation, hints."""

from ts_core.location._nouns import Finding, Hint, Row
from ts_core.location._report import LocateReport
from ts_core.location._verb import locate

__all__ = ["Finding", "Hint", "LocateReport", "Row", "locate"]
