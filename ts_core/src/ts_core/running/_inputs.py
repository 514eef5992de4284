"""Inputs of two networks that do not take the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Inputs:
    """Where two networks need different inputs for the same run: another layout, another order, other keywords.

    Attributes:
        source: of the source: an array or tensor, a tuple or list of them, a dict of keyword arguments.
        target: of the target, likewise.
    """

    source: object
    target: object
