"""What may stand where a verb takes a *source* or a *target*.

A source is a network, a checkpoint on disk, or a mapping of names to tensors; a target is any of these, or names with
shapes and no data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from inspect import signature
from math import prod
from typing import Any

import numpy as np

from ts_core.checkpoints import Checkpoint, open_checkpoint, open_lazily
from ts_core.contract.arrays import Array
from ts_core.contract.nouns import CheckpointIndex, Parameter, Place, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import ArgumentError, ArgumentTypeError, TsError
from ts_core.frameworks import parameters, to_numpy

_SMALL = 1 << 16  # bytes
_MODELS = 10  # that an error names
_KEPT = 16 << 20  # bytes in all: what they may take if the tensors are not in this machine's own memory


def open_source(source: object, **options: Any) -> LazyTensors:
    """Any source as lazily read tensors; to be closed, or used in a ``with`` statement.

    Args:
        source: the path of a checkpoint, a network, a mapping of names to tensors, or what this function returned.
        options: for a path, the keyword arguments of :func:`ts_core.open_checkpoint`. A folder of ``.npy`` files is
            not looked into: a damaged file raises when it, or the whole index, is asked for.

    Raises:
        ArgumentTypeError: it is none of these.
        CheckpointError: it is a path, and the file cannot be read.
    """
    if isinstance(source, LazyTensors):
        return source
    if isinstance(source, str | os.PathLike):
        return open_lazily(source, **options)
    if isinstance(source, Mapping):
        return TensorMapping(source)
    return NetworkTensors(source)


def open_options(parameter: str, options: object, source: object) -> dict[str, Any]:
    """The options that a caller gave, as its `parameter`, for opening a source, after a check.

    They are a mapping of keyword arguments of :func:`ts_core.open_checkpoint`, or None.

    Raises:
        ArgumentTypeError: they are no mapping.
        ArgumentError: there is no such option, or the source is no path.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ArgumentTypeError(f"{parameter} must be a dict, not {type(options).__name__}")
    known = [name for name, given in signature(open_checkpoint).parameters.items() if given.kind is given.KEYWORD_ONLY]
    unknown = [str(name) for name in options if name not in known]
    if unknown:
        raise ArgumentError(f"{parameter}: no option is called {', '.join(unknown)}; there are {', '.join(known)}")
    if options and not isinstance(source, str | os.PathLike):
        raise ArgumentError(f"{parameter} say how to open a path, and this is no path but {type(source).__name__}")
    return dict(options)


@contextmanager
def borrowed(source: object, **options: Any) -> Iterator[LazyTensors]:
    """Any source as lazily read tensors, closed afterwards unless the caller had opened it: see :func:`open_source`."""
    tensors = open_source(source, **options)
    try:
        yield tensors
    finally:
        if tensors is not source:
            tensors.close()


def require_one_model(tensors: LazyTensors) -> None:
    """Refuse a checkpoint with several models, of which nobody chose one. Raises ArgumentError, which names them."""
    if isinstance(tensors, Checkpoint) and (names := tensors.undecided):
        path, first = os.fspath(tensors.path), next(filter(None, names))
        listed = ", ".join(repr(name or "(at the top)") for name in names[:_MODELS])
        more = f" and {len(names) - _MODELS} more" if len(names) > _MODELS else ""
        raise ArgumentError(
            f"{path}: it holds {len(names)} models: {listed}{more}. Say which one is meant: key={first!r} (on the "
            f"command line --key {first}; elsewhere give ts.open_checkpoint({path!r}, key={first!r}) in place of the "
            'path), or key="" for everything under its full names'
        )


def open_target(target: object) -> AbstractContextManager[LazyTensors]:
    """Any target, as lazily read tensors or as names and shapes.

    Args:
        target: a network, the path of a checkpoint, a mapping of names to tensors, a mapping of names to shapes, or
            (name, shape) pairs.

    Raises:
        ArgumentTypeError: it is none of these.
        CheckpointError: it is a path, and the file cannot be read.
    """
    shapes = _shapes(target)
    return borrowed(target) if shapes is None else Shapes(shapes)


def _shapes(target: object) -> dict[str, tuple[int, ...]] | None:
    if isinstance(target, Mapping):
        pairs = list(target.items())
    elif isinstance(target, Iterable) and not isinstance(target, str) and not hasattr(target, "__fspath__"):
        pairs = list(target) if isinstance(target, list | tuple) else []
    else:
        return None
    if not pairs or not all(_is_named_shape(pair) for pair in pairs):
        return None
    return {name: tuple(int(size) for size in shape) for name, shape in pairs}


def _is_named_shape(pair: Any) -> bool:
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str)):
        return False
    return isinstance(pair[1], tuple | list) and all(isinstance(size, int | np.integer) for size in pair[1])


class Indexed(LazyTensors):
    """Tensors whose index is known from the start."""

    _index: CheckpointIndex

    @property
    def index(self) -> CheckpointIndex:
        """Names, shapes and dtypes."""
        return self._index


class TensorMapping(Indexed):
    """A mapping of names to tensors of any framework, which are taken as arrays when they are asked for."""

    def __init__(self, tensors: Mapping[Any, Any]) -> None:
        for name in tensors:
            if not isinstance(name, str):
                raise ArgumentTypeError(f"the names of tensors must be str, not {type(name).__name__}: {name!r}")
        self._tensors = tensors
        # To see a tensor as an array costs more than to write a small one: those of the first pass are kept.
        self._kept: dict[str, Array] = {}
        room = _KEPT
        infos = {}
        for name, tensor in tensors.items():
            try:
                array = to_numpy(tensor)
            except TsError as problem:
                raise type(problem)(f"{name}: {problem}") from problem
            infos[name] = TensorInfo(name, array.shape, array.dtype, array.nbytes)
            if array.nbytes <= min(room, _SMALL):
                self._kept[name] = array
                room -= array.nbytes
        self._index = CheckpointIndex(infos)

    def read(self, name: str) -> Array:
        """One tensor as an array, sharing its memory where the framework allows."""
        kept = self._kept.get(name)
        return to_numpy(self._tensors[name]) if kept is None else kept


class NetworkTensors(Indexed):
    """The persistent parameters and buffers of a network, under the names its framework writes into files."""

    def __init__(self, net: object) -> None:
        self.net = net
        self.parameters = parameters(net)
        self._values = {p.name: p.value for p in self.parameters if p.persistent}
        self._index = CheckpointIndex({p.name: _info(p) for p in self.parameters if p.persistent})

    def read(self, name: str) -> Array:
        """One parameter as an array, sharing its memory where the framework allows."""
        return to_numpy(self._values[name])


def _info(p: Parameter) -> TensorInfo:
    place = Place(p.layer, p.kind, p.role, p.layout) if p.kind and p.role else None
    return TensorInfo(p.name, p.shape, p.dtype, prod(p.shape) * p.dtype.itemsize, place)


class Shapes(Indexed):
    """Names and shapes without data; the dtype is taken to be float32."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        dtype = np.dtype(np.float32)
        self._index = CheckpointIndex(
            {name: TensorInfo(name, shape, dtype, prod(shape) * dtype.itemsize) for name, shape in shapes.items()}
        )

    def read(self, name: str) -> Array:
        """Nothing to read."""
        raise ArgumentTypeError(f"{name} is known by its shape only")
