"""A file of torch that its user trusts: torch's own loader makes the object, which runs whatever the file names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.errors import UnsupportedTensorError
from ts_core.contract.pickles import Global, Stub
from ts_torch.checkpoints._tensors import UnreadableTensor

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def unpickled(file: ByteSource) -> object:
    """What is in the file, as the safe reader would tell it: tensors as arrays, objects as what they hold."""
    import torch

    try:
        content = torch.load(file.stream(), map_location="cpu", weights_only=False)
    except Exception as problem:  # the code of the file may raise anything
        raise file.error(f"torch cannot load it: {type(problem).__name__}: {problem}") from problem
    return _Plain().of(content)


class _Plain:
    """Turns objects into what they hold, each once."""

    def __init__(self) -> None:
        self._known: dict[int, object] = {}
        self._kept: list[object] = []  # whose ids are known

    def of(self, value: Any) -> object:
        """What stands for an object."""
        if isinstance(value, _PLAIN):
            return value
        if id(value) not in self._known:
            self._kept.append(value)
            self._known[id(value)] = None
            self._known[id(value)] = self._made(value)
        return self._known[id(value)]

    def _made(self, value: Any) -> object:
        import numpy as np
        import torch

        from ts_torch.tensors import tensor_to_numpy

        if isinstance(value, torch.Tensor):
            try:
                return tensor_to_numpy(value)
            except UnsupportedTensorError as problem:
                return UnreadableTensor(str(problem))
        if isinstance(value, np.ndarray | np.generic):
            return value
        if isinstance(value, torch.nn.Module):
            made = _named(value)
            parameters = self.of(dict(value.state_dict(keep_vars=False)))
            made.attributes = {"_parameters": parameters, "_modules": {}}
            return made
        if isinstance(value, torch.optim.Optimizer):
            return self.of(value.state_dict())
        if isinstance(value, Mapping):
            entries: dict[object, object] = {}
            self._known[id(value)] = entries  # it may hold itself
            for key, inner in value.items():
                entries[key if isinstance(key, _PLAIN) else _named(key)] = self.of(inner)
            return entries
        if isinstance(value, list | tuple | set | frozenset):
            items: list[object] = []
            self._known[id(value)] = items
            items += map(self.of, value)
            return tuple(items) if isinstance(value, tuple) else items
        if isinstance(value, type) or callable(value) or not hasattr(value, "__dict__"):
            return value
        stub = _named(value)
        self._known[id(value)] = stub
        stub.attributes = {name: self.of(inner) for name, inner in vars(value).items()}
        return stub


def _named(value: object) -> Stub:
    """What stands for an object, before it holds anything."""
    return Stub(Global(type(value).__module__, type(value).__qualname__))
