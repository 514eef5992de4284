"""Numbers in words that do not flatter: cut off, or rounded to the safe side."""

from __future__ import annotations

import math
from decimal import Decimal


def truncated(value: float, places: int = 5) -> str:
    """A number with so many decimals, the others cut off: 0.999999 is ``0.99999``, never ``1.00000``."""
    if not math.isfinite(value):
        return str(value)
    whole, _, decimals = f"{Decimal(repr(float(value))):f}".partition(".")
    text = f"{whole}.{decimals[:places]:0<{places}}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def percentage(part: int, whole: int) -> str:
    """A share in percent with two decimals, cut off: ``100.00%`` only when `part` is all; all of nothing is all."""
    hundredths = 10_000 * part // whole if whole else 10_000
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def short(value: float, rounding: str = "ROUND_DOWN") -> str:
    """A number with three digits."""
    if not value or not math.isfinite(value):
        return "0" if not value else str(value)
    exact = Decimal(repr(float(value)))
    return f"{float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), rounding=rounding)):.3g}"


def enough(value: float) -> str:
    """A tolerance with three digits, rounded up so that it is enough."""
    return short(value, "ROUND_CEILING")
