# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, misc, no-any-return"
"""What MindSpore's graph compiler makes of ``ts.save`` and ``ts.save_grad``. This module imports MindSpore.

Most functions here are parsed by the compiler, not run: they keep to the syntax that it knows, and have no type hints.
Names and containers are worked out while the graph is compiled (``ops.constexpr`` marks what Python runs then). What is
left for the running graph is, for each tensor, one operator with an effect on the outside; so the files come in the
order of the calls, and again at each run.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import mindspore
import numpy as np
from mindspore import nn, ops

from ts_core.contract.errors import UnsupportedTensorError
from ts_core.contract.naming import base_name, check_output_mode, full_suffix, leaf_name, print_line, shown
from ts_core.contract.saved_files import emit, no_gradient_warning
from ts_mindspore.tensors import numpy_dtype


def _receive(label: Any, data: Any) -> np.ndarray[Any, Any]:
    """Called by the running graph on a CPU; `label` is what :func:`_label` made."""
    name, shape, output_mode = bytes(label).decode().split("\0")
    if shape:
        sizes = [int(size) for size in shape.strip("()").split(",") if size]
        data = data[: math.prod(sizes)].reshape(sizes)
    emit(name, data, output_mode)
    return np.zeros((1,), np.int32)


# A Python function as an operator: https://www.mindspore.cn/docs/en/master/api_python/ops/mindspore.ops.Custom.html
_hand_over = ops.Custom(_receive, lambda *_: (1,), lambda *_: mindspore.int32, func_type="pyfunc")
_hand_over.add_prim_attr(
    "side_effect_io", True
)  # it stays, and in its place among others, though nobody uses its result
_tensor_dump = ops.TensorDump()
_print = ops.Print()


@ops.constexpr
def _checked(file, suffix, output_mode, rank):
    """The beginning of all names, and their suffix; raises what ``ts.save`` raises."""
    check_output_mode(output_mode)
    return base_name(file), full_suffix(suffix, rank)


@ops.constexpr
def _target():
    return mindspore.get_context("device_target")


@ops.constexpr
def _label(base, place, suffix, dtype, shape, output_mode):
    """What the callback has to know, as a tensor of bytes. `shape`: of a tensor that the operator takes in another."""
    name = leaf_name(base, place, suffix, numpy_dtype(dtype).name)
    text = "\0".join([name, "" if shape is None else str(tuple(shape)).replace(" ", ""), output_mode])
    return mindspore.Tensor(np.frombuffer(text.encode(), np.uint8).copy())


@ops.constexpr
def _device_name(base, place, suffix):
    return leaf_name(base, place, suffix)


@ops.constexpr
def _line(base, place, suffix, dtype):
    return print_line(leaf_name(base, place, suffix, numpy_dtype(dtype).name))


@ops.constexpr
def _refuse(place, what):
    raise UnsupportedTensorError(f"{shown(place)}: ts.save in a compiled graph cannot save {what}")


@ops.constexpr
def _warn_of_no_gradient(base):
    warnings.warn(no_gradient_warning(base), stacklevel=2)


def _put(data, base, place, suffix, output_mode):
    """Put out one tensor."""
    data = ops.stop_gradient(data)
    if _target() == "CPU":
        return _put_on_cpu(data, base, place, suffix, output_mode)
    # For Ascend, where files get the same names, numbered by MindSpore. Written after the documentation, and not run on
    # such a device: https://www.mindspore.cn/docs/en/master/api_python/ops/mindspore.ops.TensorDump.html
    if output_mode == "print":
        return _print(_line(base, place, suffix, data.dtype), data)
    return _tensor_dump(_device_name(base, place, suffix), data)


def _put_on_cpu(data, base, place, suffix, output_mode):
    dtype = data.dtype
    shape = None
    if not ops.isconstant(data.shape):
        _refuse(place, "a tensor whose shape is not known before the graph runs")
    if dtype == mindspore.bfloat16:  # which the operator does not know, and which is stored as float32
        data = ops.cast(data, mindspore.float32)
    if len(data.shape) == 0:  # which the operator would turn into a Python number
        shape = ()
        data = ops.reshape(data, (1,))
    elif 0 in data.shape:  # which the operator does not take
        shape = data.shape
        data = ops.zeros((1,), data.dtype)
    return _hand_over(_label(base, place, suffix, dtype, shape, output_mode), data)


def _put_all(data, base, place, suffix, output_mode):
    """Put out every tensor of nested containers; the recursion ends while the graph is compiled."""
    if isinstance(data, mindspore.Tensor):
        _put(data, base, place, suffix, output_mode)
    elif isinstance(data, (tuple, list)):
        for index in range(len(data)):
            _put_all(data[index], base, place + (index,), suffix, output_mode)  # noqa: RUF005 - nor unpacking
    elif isinstance(data, dict):
        for key in data.keys():  # noqa: SIM118 - nor iteration over a dict
            _put_all(data[key], base, place + (key,), suffix, output_mode)  # noqa: RUF005
    elif isinstance(data, bool):
        _put(mindspore.Tensor(data, mindspore.bool_), base, place, suffix, output_mode)
    elif isinstance(data, int):
        _put(mindspore.Tensor(data, mindspore.int64), base, place, suffix, output_mode)
    elif isinstance(data, float):
        _put(mindspore.Tensor(data, mindspore.float64), base, place, suffix, output_mode)
    elif data is not None:
        _refuse(place, str(type(data)))


def save(self, file, data, suffix=None, output_mode="npy", rank=False):
    """``ts.save`` in a graph."""
    base, suffix = _checked(file, suffix, output_mode, rank)
    _put_all(data, base, (), suffix, output_mode)


class _Tap(nn.Cell):
    """Hands on a tensor, and in the backward pass puts out its gradient."""

    def construct(self, data, base, suffix, output_mode):
        return data

    def bprop(self, data, base, suffix, output_mode, out, dout):
        # Without the dependency the operator would not be part of the backward graph.
        return ops.depend(dout, _put(dout, base, (), suffix, output_mode)), base, suffix, output_mode


_tap = _Tap()


def save_grad(self, file, data, suffix="backward", output_mode="npy", rank=False):
    """``ts.save_grad`` in a graph."""
    base, suffix = _checked(file, suffix, output_mode, rank)
    if not data.is_floating_point():
        _warn_of_no_gradient(base)
        return data
    return _tap(data, base, suffix, output_mode)
