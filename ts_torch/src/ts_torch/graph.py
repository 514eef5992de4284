"""Saving from networks that torch compiles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ts_core.contract.hooks import hookimpl


@hookimpl
def hide_from_compiler(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function with torch's tracer switched off while it runs.

    Marked only as not to be inlined, its frames would still be compiled one by one, with the numbers of the files as
    constants: once for every call.
    """
    dynamo = sys.modules.get("torch._dynamo")  # torch imports it when something is compiled first
    if dynamo is None or not hasattr(dynamo, "disable"):
        return None
    hidden: Callable[..., Any] = dynamo.disable(
        function, reason="ts.save and ts.save_grad run outside of compiled graphs: compile without fullgraph=True"
    )
    return hidden
