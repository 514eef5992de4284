"""The parameters and buffers of a torch module: read them, and put arrays back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LoadResult, Parameter
from ts_core.contract.recognition import is_instance
from ts_core.frameworks import LayerTable, check_fit
from ts_torch.layers import RULES
from ts_torch.tensors import EXTENDED_DTYPES, tensor_from_numpy

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, np.dtype[Any]]

_TABLE = LayerTable(RULES)


@hookimpl
def iter_parameters(net: object) -> Iterator[Parameter] | None:
    """The parameters and buffers of every module in the order in which ``state_dict`` lists them."""
    return _parameters(net) if is_instance(net, "torch.nn.Module") else None


def _parameters(net: torch.nn.Module) -> Iterator[Parameter]:
    layers = dict(net.named_modules(remove_duplicate=False))
    first: dict[int, str] = {}
    for path, module in layers.items():
        prefix = f"{path}." if path else ""
        own = {**module._parameters, **module._buffers}
        for local, tensor in own.items():
            if tensor is None:
                continue
            name = prefix + local
            owner = _TABLE.owner(name, layers)
            yield Parameter(
                name=name,
                shape=tuple(tensor.shape),
                dtype=_numpy_dtype(tensor.dtype),
                path=name,
                layer=owner.layer,
                kind=owner.kind,
                role=owner.role,
                trainable=tensor.requires_grad,
                persistent=local not in module._non_persistent_buffers_set,
                tied_to=first.get(id(tensor)),
                value=tensor,
                layout=owner.layout,
            )
            first.setdefault(id(tensor), name)


def _numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    name = str(dtype).removeprefix("torch.")
    return np.dtype(EXTENDED_DTYPES[name][0] if name in EXTENDED_DTYPES else name)


@hookimpl
def load_parameters(net: object, tensors: Mapping[str, Array], strict: bool) -> LoadResult | None:
    """Copy arrays into the module's own tensors, casting to their dtype; nothing is copied before all was checked."""
    if not is_instance(net, "torch.nn.Module"):
        return None
    import torch

    places = {parameter.name: parameter for parameter in _parameters(net)}
    result = check_fit(places.values(), tensors)
    if result or not strict:
        with torch.no_grad():
            for name in result.loaded:
                places[name].value.copy_(tensor_from_numpy(tensors[name], "torch"))  # type: ignore[attr-defined]
    return result
