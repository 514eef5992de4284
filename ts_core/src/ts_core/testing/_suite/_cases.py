"""What an author tells the suite: cases, and what a framework may lack."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ts_core.contract.tracing import Inputs

#: What a framework may lack, and its plug-in then declares in :attr:`FrameworkSuite.absent`.
FEATURES: Mapping[str, str] = {
    "buffers": "networks keep arrays that are no parameters, such as a running mean",
    "no dense array": "there are tensors that no dense array can hold, such as sparse ones",
    "gradients": "gradients of a network's parameters can be had",
    "on_gradient": "the gradient of an intermediate tensor can be watched",
    "seed": "there is a global random generator",
    "tied": "a network can use one tensor in several places",
    "views": "a tensor can be a strided view of another one",
    "file format": "the framework has a checkpoint format of its own",
    "framework files": "the framework itself reads and writes the formats of its plug-in where the suite runs",
    "trace": "a network can be run and each call of a layer observed",
    "trace gradients": "gradients with respect to what goes in and out of each call can be had",
}


@dataclass(frozen=True, slots=True)
class NetCase:
    """A network, and what is to be found in it.

    Attributes:
        make: a new network with parameters of its own at each call.
        parameters: (name, path of the layer, kind, role) in definition order, buffers included.
        layers: the paths of all layers in definition order, ``""`` for the network itself first, a shared layer at
            each of its places. One network tells them; where they are left out, only their owners are checked.
    """

    make: Callable[[], object]
    parameters: Sequence[tuple[str, str, str | None, str | None]]
    layers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LayerCase:
    """One layer that the plug-in has a rule for.

    Attributes:
        kind: its canonical kind. Where it has a definition, the layer is made as `settings` there says, and the
            suite compares what it computes with the definition.
        make: a new layer with parameters of its own at each call.
        runs: whether the framework can compute it where the suite runs.
    """

    kind: str
    make: Callable[[], object]
    runs: bool = True


@dataclass(frozen=True, slots=True)
class TraceCase:
    """A network that is run, and the calls of its layers.

    Attributes:
        make: a new network with parameters of its own at each call.
        inputs: what it is run on.
        calls: (path of the layer, number of the call inside which it happens) in the order in which calls begin, the
            network's own first: ``("", None)``. Numbers count from 0. A layer at several places has its first path.
        fails: the path of the layer that raises; `calls` are then those that begin before.
    """

    make: Callable[[], object]
    inputs: Inputs
    calls: Sequence[tuple[str, int | None]]
    fails: str | None = None


def public_classes(namespace: ModuleType, base: type, creating: str | Sequence[str] = ()) -> list[type]:
    """The layer classes that a module offers under public names.

    Args:
        namespace: the framework's module, ``torch.nn``.
        base: the class of all networks; itself left out.
        creating: how source code makes a parameter or buffer, ``"register_buffer("``, or several such ways. With it,
            only those classes are answered whose source, or that of a class they derive from, has one of them.
    """
    members = (member for name, member in inspect.getmembers(namespace, inspect.isclass) if not name.startswith("_"))
    classes = {cls: None for cls in members if issubclass(cls, base) and cls is not base}  # under each name, once
    words = (creating,) if isinstance(creating, str) else tuple(creating)
    return [cls for cls in classes if not words or _source_has(cls, base, words)]  # type: ignore[arg-type]  # mypy fears unhashable metaclasses


@functools.cache
def _source_has(cls: type[Any], base: type[Any], words: tuple[str, ...]) -> bool:
    sources = (inspect.getsource(ancestor) for ancestor in cls.__mro__ if ancestor not in base.__mro__)
    return any(word in source for source in sources for word in words)
