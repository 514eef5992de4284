"""Functions that act on the world outside, kept out of the graphs that compilers make of a network.

A compiler that meets a call inside a network looks at the object that is called. PyTorch's is told to leave this one
alone: the call breaks the graph and runs eagerly. MindSpore's, which cannot break a graph, is given another function to
parse. Both learn it from attributes, so it does not matter what was imported first, or whether at all.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Verb(Generic[P, R]):
    """A function, as an object that compilers recognise."""

    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function. From the first call after a tracing compiler was loaded, ``__call__`` is hidden from it."""
        hidden = _hidden()
        if hidden is not None:
            # On the class, because a frame of ours that calls it would be traced.
            Verb.__call__ = hidden  # type: ignore[method-assign]
        return (hidden or Verb._run)(self, *args, **kwargs)

    # torch.compile breaks the graph at a function with these attributes; the very first call may come from inside one.
    __call__._torchdynamo_disable = True  # type: ignore[attr-defined]
    __call__._torchdynamo_disable_msg = (  # type: ignore[attr-defined]
        "ts.save and ts.save_grad run outside of compiled graphs: compile without fullgraph=True"
    )

    def _run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    @property
    def __parse_method__(self) -> str:
        """MindSpore's graph compiler parses the method of this name when it meets a call of the object."""
        return "_in_graph"

    @property
    def _in_graph(self) -> Callable[..., Any]:
        from ts_core.frameworks import registry

        verb = self._function.__name__
        function = registry().first("graph_function", verb, verb=verb)
        if function is None:
            raise AttributeError(f"no plug-in offers ts.{verb} inside a compiled graph")
        return types.MethodType(function, self)


def _hidden() -> Callable[..., Any] | None:
    """``Verb._run`` as a tracing compiler lets it be; None while there is none."""
    from ts_core.frameworks import registry  # a heavy import for `import ts_core`

    hidden: Callable[..., Any] | None = registry().first("hide_from_compiler", Verb, function=Verb._run)
    return hidden


# The first call may be traced; a compiler that went on into the registry would warn of the cache there.
_hidden._torchdynamo_disable = True  # type: ignore[attr-defined]
