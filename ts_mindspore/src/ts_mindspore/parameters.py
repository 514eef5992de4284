"""The parameters and buffers of a MindSpore cell: read them, and put arrays back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.hooks import hookimpl
from ts_core.contract.nouns import LoadResult, Parameter
from ts_core.contract.recognition import is_instance
from ts_core.frameworks import LayerTable, check_fit
from ts_mindspore.layers import RULES
from ts_mindspore.tensors import numpy_dtype, tensor_from_numpy

if TYPE_CHECKING:
    import mindspore

    Array = np.ndarray[Any, np.dtype[Any]]

_TABLE = LayerTable(RULES)


@hookimpl
def iter_parameters(net: object) -> Iterator[Parameter] | None:
    """The parameters and buffers of every cell in definition order, named as MindSpore names them in files."""
    return _parameters(net) if is_instance(net, "mindspore.nn.Cell") else None


def _parameters(net: mindspore.nn.Cell) -> Iterator[Parameter]:
    layers = dict(_cells(net, ""))
    first: dict[int, str] = {}
    for path, cell in layers.items():
        prefix = f"{path}." if path else ""
        buffers = getattr(cell, "_buffers", {})  # since MindSpore 2.4
        for local, tensor in {**cell._params, **buffers}.items():
            if tensor is None:
                continue
            attribute = prefix + local
            name = attribute if local in buffers else tensor.name
            owner = _TABLE.owner(attribute, layers)
            yield Parameter(
                name=name,
                shape=tuple(tensor.shape),
                dtype=numpy_dtype(tensor.dtype),
                path=attribute,
                layer=owner.layer,
                kind=owner.kind,
                role=owner.role,
                trainable=bool(getattr(tensor, "requires_grad", False)),
                persistent=local not in getattr(cell, "_non_persistent_buffers_set", ()),
                tied_to=first.get(id(tensor)),
                value=tensor,
                layout=owner.layout,
            )
            first.setdefault(id(tensor), name)


def _cells(cell: mindspore.nn.Cell, path: str) -> Iterator[tuple[str, mindspore.nn.Cell]]:
    """Every cell under every path that leads to it; MindSpore's own walk names a shared cell only once."""
    yield path, cell
    for local, inner in cell._cells.items():
        if inner is not None:
            yield from _cells(inner, f"{path}.{local}" if path else local)


@hookimpl
def load_parameters(net: object, tensors: Mapping[str, Array], strict: bool) -> LoadResult | None:
    """Set the cell's own parameters, casting to their dtype; nothing is set before everything was checked."""
    if not is_instance(net, "mindspore.nn.Cell"):
        return None
    places = {parameter.name: parameter for parameter in _parameters(net)}
    result = check_fit(places.values(), tensors)
    if result or not strict:
        for name in result.loaded:
            place = places[name]
            tensor = tensor_from_numpy(tensors[name].astype(place.dtype, copy=False), "mindspore")
            if hasattr(place.value, "set_data"):
                place.value.set_data(tensor)
            else:  # a buffer
                place.value.assign_value(tensor)  # type: ignore[attr-defined]
    return result
