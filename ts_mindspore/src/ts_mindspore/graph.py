"""Saving inside the graphs that MindSpore compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ts_core.contract.hooks import hookimpl


@hookimpl
def graph_function(verb: str) -> Callable[..., Any] | None:
    """What MindSpore's parser takes for ``ts.save`` and ``ts.save_grad``: methods, whose first argument it drops."""
    from ts_mindspore import _graph_operators

    function: Callable[..., Any] | None = getattr(_graph_operators, verb, None)
    return function
