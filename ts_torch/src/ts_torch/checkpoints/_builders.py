"""What is built for the names that torch writes into pickles. Arguments come from the file: all are checked.

Every argument of every function is honoured, says nothing of the numbers, or is refused: one that nobody knows may say
that they are others than those in the file. Sources: ``torch/_utils.py``, ``torch/_tensor.py`` (``__reduce_ex__``),
``torch/nn/parameter.py``, ``torch/nested/_internal/nested_tensor.py``, ``torch/fx/graph_module.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ts_core.contract.pickles import BUILDERS as PLAIN_BUILDERS
from ts_core.contract.pickles import (
    Budget,
    Builder,
    Charged,
    Global,
    MalformedError,
    Stub,
    brief,
    construct,
    integer,
    integers,
)
from ts_torch.checkpoints._tensors import (
    DTYPES,
    PACKED,
    STORAGES,
    HeldArray,
    QuantisedTensor,
    Storage,
    TensorRecord,
    UnreadableTensor,
    as_leaf,
    dense,
)

_Built = TensorRecord | HeldArray | UnreadableTensor | QuantisedTensor
_MARKS = ("conj", "neg")  # what torch calls the bits of a tensor, in its metadata


def _tensor(storage: object, offset: object, shape: object, stride: object) -> TensorRecord:
    return dense(storage, offset, shape, stride)


def _tensor_v2(
    storage: object, offset: object, shape: object, stride: object, _grad: object = None,
    _hooks: object = None, metadata: object = None,
) -> _Built:  # fmt: skip
    return _marked(dense(storage, offset, shape, stride), metadata)


def _tensor_v3(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, dtype: object,
    metadata: object = None,
) -> _Built:  # fmt: skip
    if not isinstance(dtype, Global):
        raise MalformedError("a tensor without a dtype")
    known = DTYPES.dtype(dtype.name)
    if known is None:
        return UnreadableTensor(f"dtype {dtype}", {"bytes": storage})
    return _marked(dense(storage, offset, shape, stride, known), metadata)


def _marked(tensor: TensorRecord, metadata: object) -> _Built:
    """A tensor with its bits: torch keeps a conjugate, or a negative, as a view that says so."""
    if not metadata:
        return tensor
    if not isinstance(metadata, dict):
        raise MalformedError("the metadata of a tensor is no dictionary")
    unknown = [name for name, value in metadata.items() if name not in _MARKS and value]
    if unknown:
        return UnreadableTensor(
            f"marked as {brief(unknown[0])}, which may mean that its numbers are others", {"stored": tensor}
        )
    if (metadata.get("conj") and tensor.dtype.kind != "c") or (metadata.get("neg") and tensor.dtype.kind == "b"):
        raise MalformedError(f"the conjugate or negative of a tensor of dtype {tensor.dtype}")
    return replace(tensor, conjugated=bool(metadata.get("conj")), negated=bool(metadata.get("neg")))


def _npu_tensor(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, layout: object = True
) -> _Built:
    # How the device lays it out, once it is there: the file holds the elements as any other does.
    if not isinstance(layout, bool | int | Stub):
        raise MalformedError(f"a tensor of an Ascend device with the layout {brief(layout)}")
    return dense(storage, offset, shape, stride)


def _device_tensor(data: object, dtype: object, _device: object, _grad: object) -> _Built:
    """A tensor of another device, as a NumPy array or a tensor, and the dtype it has there."""
    tensor = as_leaf(data)
    known = DTYPES.dtype(dtype.name) if isinstance(dtype, Global) else None
    if tensor is None or isinstance(tensor, UnreadableTensor):
        return tensor or UnreadableTensor("of a device, without its data")
    if known is None:
        return UnreadableTensor(f"of a device, with the dtype {brief(dtype)}", {"data": data})
    if known == tensor.dtype.newbyteorder("="):
        return tensor
    if tensor.cast is not None or (tensor.dtype.kind == "c" and known.kind != "c"):
        return UnreadableTensor(f"of a device, to be cast from {tensor.dtype} to {known}", {"data": data})
    return replace(tensor, cast=known)


def _parameter(data: object = None, _grad: object = True, _hooks: object = None) -> object:
    return _require_tensor(data)


def _parameter_with_state(data: object, _grad: object, _hooks: object, state: object) -> object:
    return _with_extra(_require_tensor(data), state)


def _require_tensor(data: object) -> object:
    if data is None:  # Parameter() in old files, whose state brings the data
        return _nothing()
    return data


def _with_extra(tensor: object, state: object) -> object:
    """A tensor and the attributes that somebody gave it; another one of the same data keeps its own."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    kept = [part for part in parts if part]
    if not kept or not isinstance(tensor, TensorRecord | HeldArray | UnreadableTensor | QuantisedTensor):
        return tensor
    if tensor.extra is not None:
        kept.append(tensor.extra)
    return replace(tensor, extra=kept[0] if len(kept) == 1 else kept)


def _nothing(*sizes: object) -> TensorRecord | UnreadableTensor:
    """A tensor of an old file, whose state says where its elements are."""
    if sizes:
        return UnreadableTensor("made without data")
    return TensorRecord(Storage("", None, 0), 0, (0,), (1,), np.dtype(np.float32))


def _from_type(budget: Budget, function: object, cls: object, args: object, state: object) -> object:
    if not isinstance(function, Global) or not isinstance(args, tuple) or function == _FROM_TYPE:
        raise MalformedError("a tensor subclass without a function that builds it")
    built = construct(function, args, BUILDERS, budget)
    if isinstance(built, Stub):
        built = UnreadableTensor(f"built by {function}, which is unknown", list(args))
    return _with_extra(built, state)


def _quantised(
    storage: object, offset: object, shape: object, stride: object, quantizer: object, _grad: object, _hooks: object
) -> _Built:
    if not isinstance(storage, Storage) or not isinstance(quantizer, tuple) or not quantizer:
        raise MalformedError("a quantised tensor without a storage and a quantizer")
    scheme = quantizer[0].name if isinstance(quantizer[0], Global) else ""
    if storage.quantised in PACKED:
        return UnreadableTensor("quantised, several elements in a byte", [storage, quantizer])
    values = replace(dense(storage, offset, shape, stride), raw=True)
    if scheme == "per_tensor_affine" and len(quantizer) == 3:
        scale, zero = (_number(value, dtype) for value, dtype in zip(quantizer[1:], ("float64", "int64"), strict=True))
        return QuantisedTensor({"int_repr": values, "scale": scale, "zero_point": zero})
    if scheme in ("per_channel_affine", "per_channel_affine_float_qparams") and len(quantizer) == 4:
        _, scales, zeros, axis = quantizer
        parts = {"int_repr": values, "scales": _numbers(scales), "zero_points": _numbers(zeros)}
        return QuantisedTensor({**parts, "axis": _number(integer(axis), "int64")})
    return UnreadableTensor(f"quantised in a way that is unknown: {brief(quantizer)}", [values, quantizer])


def _numbers(values: object) -> object:
    """Scales and zero points: a tensor, in old files a list."""
    if isinstance(values, list) and all(type(value) in (int, float) for value in values):
        return _held(np.array(values, "int64" if all(type(value) is int for value in values) else "float64"))
    return values


def _held(array: np.ndarray[Any, np.dtype[Any]]) -> HeldArray:
    array.flags.writeable = False
    return HeldArray(array)


def _number(value: object, dtype: str) -> HeldArray:
    if not isinstance(value, int | float) or (isinstance(value, int) and value.bit_length() > 63):
        raise MalformedError(f"a quantised tensor with a scale or zero point of {brief(value)}")
    return _held(np.array(value, dtype))


def _unreadable(reason: str, *names: str) -> Builder:
    """A builder for what has no dense array; the arguments that have a name are its parts."""

    def build(*args: object) -> UnreadableTensor:
        parts = {name: arg for name, arg in zip(names, args, strict=False) if name}
        return UnreadableTensor(reason, parts or None)

    return build


def _sparse(layout: object, data: object = ()) -> UnreadableTensor:
    if not isinstance(data, tuple):
        raise MalformedError("a sparse tensor without its parts")
    names = ("indices", "values", "size") if len(data) < 4 or isinstance(data[3], bool | None) else (
        "compressed_indices", "plain_indices", "values", "size",
    )  # fmt: skip
    return UnreadableTensor(
        f"sparse, {layout if isinstance(layout, str) else brief(layout)}"[:80], dict(zip(names, data, strict=False))
    )


def _wrapper(cls: object, *_: object) -> UnreadableTensor:
    return UnreadableTensor(f"a wrapper of other tensors, {brief(cls)}")


def _graph_module(body: object, *source: object) -> Stub:
    """A traced module: what it holds, and its code, which is of no interest."""
    made = Stub(_GRAPH_MODULE, source)
    if not isinstance(body, dict):
        raise MalformedError("a traced module without what it holds")
    made.attributes = body
    return made


def _compiled_module(module: object, *context: object) -> Stub:
    """A compiled module: its parameters are those of the module inside, under the name it has there."""
    made = Stub(_COMPILED, context)
    made.attributes = {"_parameters": {}, "_buffers": {}, "_modules": {"_orig_mod": module}}
    return made


def _size(sizes: object = ()) -> tuple[int, ...]:
    return integers(sizes)


def _device(kind: object, index: object = None) -> str:
    if not isinstance(kind, str) or not isinstance(index, int | None):
        raise MalformedError(f"a device {brief(kind)}, {brief(index)}")
    return f"{kind}" if index is None else f"{kind}:{index}"


def _layout(name: object = "") -> str:
    return name if isinstance(name, str) else ""


class _Table(dict[Global, Builder]):
    """Builders by name; some names are known in whatever module they stand, as those of devices' packages move."""

    def get(self, name: Global, default: Builder | None = None) -> Builder | None:  # type: ignore[override]  # None is the only default that is asked for
        """The builder for a name."""
        found = super().get(name)
        if found is not None:
            return found
        if name.name.startswith("_rebuild_"):
            anywhere = _ANYWHERE.get(name.name) if name.module.startswith("torch") else None
            return anywhere or _unreadable(f"built by {name}, which is unknown", *map(str, range(9)))
        if name.module.startswith("torch") and name.name.endswith("Tensor"):
            known = name.name == "Tensor" or f"{name.name[:-6]}Storage" in STORAGES
            return _nothing if known else default
        return default


_FROM_TYPE = Global("torch._tensor", "_rebuild_from_type_v2")
_GRAPH_MODULE = Global("torch.fx.graph_module", "reduce_graph_module")
_COMPILED = Global("torch._dynamo.eval_frame", "OptimizedModule")
_UNINITIALISED = _unreadable("not initialised: the network was saved before it was first called")
# These have stood in several modules.
_ANYWHERE: Mapping[str, Builder] = {
    "_rebuild_tensor": _tensor,
    "_rebuild_tensor_v2": _tensor_v2,
    "_rebuild_tensor_v3": _tensor_v3,
    "_rebuild_npu_tensor": _npu_tensor,
    "_rebuild_parameter": _parameter,
    "_rebuild_parameter_with_state": _parameter_with_state,
    "_rebuild_device_tensor_from_numpy": _device_tensor,
    "_rebuild_device_tensor_from_cpu_tensor": _device_tensor,
    "_rebuild_xla_tensor": _device_tensor,
    "_rebuild_qtensor": _quantised,
    "_rebuild_sparse_tensor": _sparse,
    "_rebuild_sparse_csr_tensor": _sparse,
    "_rebuild_nested_tensor": _unreadable("nested", "values", "sizes", "strides", "offsets"),
    "_rebuild_njt": _unreadable("nested, of rows of different lengths", "parts"),
    "_rebuild_meta_tensor_no_storage": _unreadable("on the meta device, without data"),
    "_rebuild_wrapper_subclass": _wrapper,
}
BUILDERS: Mapping[Global, Builder] = _Table(
    {
        **PLAIN_BUILDERS,
        _FROM_TYPE: Charged(_from_type),
        Global("torch._tensor", "_rebuild_from_type"): Charged(_from_type),
        **{Global("torch.nn.parameter", name): _parameter for name in ("Parameter", "Buffer")},
        **{Global("torch.nn.parameter", f"Uninitialized{name}"): _UNINITIALISED for name in ("Parameter", "Buffer")},
        Global("torch.autograd.variable", "Variable"): _parameter,
        _GRAPH_MODULE: _graph_module,
        _COMPILED: _compiled_module,
        Global("torch.serialization", "_get_layout"): _layout,
        Global("torch", "Size"): _size,
        Global("torch", "device"): _device,
    }
)
