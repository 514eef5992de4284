"""What several of the tables say alike."""

from __future__ import annotations

from ts_core.contract.settings import Spelled, Spelling

WEIGHT = {"weight": "weight"}
WEIGHT_BIAS = {**WEIGHT, "bias": "bias"}
NORM = {"gamma": "scale", "beta": "bias"}


def same(names: str, **spelled: Spelling) -> dict[str, Spelling]:
    """Settings that are attributes of the same name, and those that are not."""
    return {**{name: name for name in names.split()}, **spelled}


BIAS = Spelled("bias", "is_given")
