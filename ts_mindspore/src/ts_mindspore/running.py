"""Running a MindSpore cell once, every call of every cell told to an observer."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ts_core.contract.errors import ArgumentError
from ts_core.contract.hooks import hookimpl
from ts_core.contract.recognition import is_instance
from ts_core.contract.tracing import Call, Calls, Inputs, NewInputs, Observer, Place, Traced, leaves, mapped, replaced
from ts_mindspore.networks import iter_layers
from ts_mindspore.parameters import iter_parameters, load_parameters
from ts_mindspore.tensors import tensor_from_numpy, tensor_to_numpy

if TYPE_CHECKING:
    import mindspore

_TENSOR = "mindspore.Tensor"


@hookimpl
def trace_network(
    net: object, inputs: Inputs, observer: Observer, training: bool | None, loss: Callable[[Any], Any] | None
) -> Traced | None:
    """Run the cell eagerly with a hook before and after each call of each cell, and hooks on the tensors that pass.

    What ``mindspore.jit`` would compile runs as the Python that it is.
    """
    found = iter_layers(net)
    if found is None:
        return None
    import mindspore

    assert isinstance(net, mindspore.nn.Cell)
    layers = list(found)
    graphs = [layer.path for layer in layers if is_instance(layer.layer, "mindspore.nn.GraphCell")]
    if graphs:
        raise ArgumentError(
            f"a graph that was loaded from a file tells of no calls, and there is one at {graphs}: trace the network "
            "that it was exported from"
        )
    given = [leaf for _, leaf in leaves((inputs.args, dict(inputs.kwargs))) if isinstance(leaf, np.ndarray)]
    tensors: list[Any] = [tensor_from_numpy(array, "mindspore") for array in given]
    with contextlib.ExitStack() as on_tensors, _as_before(net), Calls(layers, observer) as calls:
        run = _Run(calls, on_tensors if loss is not None else None)

        def forward(*tensors: mindspore.Tensor) -> Any:
            rest = iter(tensors)
            args, kwargs = mapped(
                (inputs.args, dict(inputs.kwargs)), lambda _, leaf: next(rest) if isinstance(leaf, np.ndarray) else leaf
            )
            with run.watching():
                return net(*args, **kwargs)

        if training is not None:
            net.set_train(training)
        if loss is None:
            return Traced(forward(*tensors))
        outputs = []

        def value(*tensors: mindspore.Tensor) -> Any:
            outputs.append(forward(*tensors))
            return loss(outputs[0])

        positions = tuple(number for number, tensor in enumerate(tensors) if tensor.is_floating_point())
        weights = net.trainable_params()
        if not positions and not weights:
            raise ArgumentError("no gradients: neither an input nor a parameter takes one")
        try:
            found, gradients = mindspore.value_and_grad(value, positions or None, weights or None)(*tensors)
        except BaseException:  # MindSpore would go on recording, and later calls of other networks fail
            mindspore.common.api._pynative_executor.clear_res()
            raise
        if positions and weights:
            gradients = gradients[1]
        paths = {id(raw.tensor): raw.path for raw in reversed(list(iter_parameters(net) or ()))}
        own = [paths[id(weight)] for weight in weights]
        return Traced(outputs[0], found, dict(zip(own, gradients, strict=True)) if own else {})


@hookimpl
def in_double(layer: object) -> object | None:
    """A copy of the cell in float64."""
    if not is_instance(layer, "mindspore.nn.Cell"):
        return None
    import mindspore

    assert isinstance(layer, mindspore.nn.Cell)
    double = copy.deepcopy(layer)
    for parameter in double.get_parameters():
        if parameter.is_floating_point():
            parameter.set_dtype(mindspore.float64)
    for _, cell in double.cells_and_names():
        for hooks in (cell._forward_hook, cell._forward_pre_hook):
            hooks.clear()
    copied: object = double
    return copied


class _Run:
    """What the hooks do; `on_tensors` takes the hooks on tensors, None when no gradients are asked for."""

    def __init__(self, calls: Calls, on_tensors: contextlib.ExitStack | None) -> None:
        self._calls, self._on_tensors = calls, on_tensors
        self._undo: dict[int, contextlib.ExitStack] = {}  # by the identity of a cell that does not run

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """With a hook before and after the calls of every cell."""
        with contextlib.ExitStack() as hooks:
            for layer in self._calls.layers:
                cell: Any = layer.layer
                if getattr(cell, "_recompute_cell", None) is not None:  # it would hide what is inside
                    cell.__dict__["_recompute_cell"] = None
                    hooks.callback(cell.__dict__.pop, "_recompute_cell")
                hooks.callback(cell.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                if (
                    cell.has_bprop
                ):  # such a cell calls no hook after it; what calls its hook before it returns its output
                    cell.__dict__["_run_construct"] = self._around(cell, cell._run_construct)
                    hooks.callback(cell.__dict__.pop, "_run_construct")
                else:
                    hook = cell.register_forward_hook(self._leave, with_kwargs=True, always_call=True)
                    hooks.callback(hook.remove)
            yield

    def _around(self, cell: object, function: Callable[..., Any]) -> Callable[..., Any]:
        def run_construct(*args: Any, **kwargs: Any) -> Any:
            try:
                output = function(*args, **kwargs)
            except Exception:
                self._leave(cell, args, kwargs, None)
                raise
            answer = self._leave(cell, args, kwargs, output)
            return output if answer is None else answer

        return run_construct

    def _enter(self, cell: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        call, answer = self._calls.enter(cell, args, kwargs)
        if isinstance(answer, NewInputs):
            given = (args, answer.args), (dict(kwargs), dict(answer.kwargs))
            args, kwargs = (replaced(old, new, self._answered, call) for old, new in given)  # type: ignore[assignment]
        self._watch(call, "inputs", [*leaves(args), *leaves(kwargs)])
        if isinstance(answer, NewInputs):
            return args, kwargs
        if answer is not None:
            output = mapped(answer, _made)
            undo = self._undo[id(cell)] = contextlib.ExitStack()
            for name, value in (("construct", lambda *_, **__: output), ("has_bprop", False)):
                before = vars(cell).get(name, _put_back)
                undo.callback(_put_back, cell, name, before)
                vars(cell)[name] = value
        return None

    def _leave(self, cell: object, args: object, kwargs: object, output: Any) -> Any:
        if id(cell) in self._undo:
            self._undo.pop(id(cell)).close()
        call, answer = self._calls.leave(cell, output)
        if call is None:
            return None
        if answer is not None:
            output = replaced(output, answer, self._answered, call)
        self._watch(call, "outputs", leaves(output))
        return None if answer is None else output

    def _answered(self, value: Any, leaf: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = tensor_from_numpy(value, "mindspore")
        if (
            self._on_tensors is not None
            and _takes_gradient(leaf)
            and is_instance(value, _TENSOR)
            and value.shape == leaf.shape
        ):
            return _instead()(leaf, value)
        return value

    def _watch(self, call: Call, side: str, values: Iterable[tuple[Place, Any]]) -> None:
        if self._on_tensors is None:
            return
        for place, leaf in values:
            if _takes_gradient(leaf):
                hook = leaf.register_hook(self._told(call, side, place))
                self._on_tensors.callback(hook.remove)

    def _told(self, call: Call, side: str, place: Place) -> Callable[[mindspore.Tensor], mindspore.Tensor]:
        def hook(gradient: mindspore.Tensor) -> mindspore.Tensor:
            answer = self._calls.gradient(call, side, place, gradient)
            if isinstance(answer, np.ndarray):
                made: Any = tensor_from_numpy(answer, "mindspore")
                return made.astype(gradient.dtype)
            return gradient

        return hook


def _put_back(cell: object, name: str, value: object) -> None:
    """As it was among the cell's own attributes; this function itself stands for nothing."""
    vars(cell).pop(name, None)
    if value is not _put_back:
        vars(cell)[name] = value


def _made(_: Place, leaf: Any) -> Any:
    """An array as a tensor."""
    return tensor_from_numpy(leaf, "mindspore") if isinstance(leaf, np.ndarray) else leaf


def _takes_gradient(leaf: Any) -> bool:
    return is_instance(leaf, _TENSOR) and leaf.is_floating_point() and getattr(leaf, "_requires_grad", True)


@functools.cache
def _instead() -> Callable[[Any, Any], Any]:
    """A cell whose value is its second argument, and whose gradient goes to its first."""
    from mindspore import nn, ops

    class Instead(nn.Cell):  # type: ignore[misc]
        def construct(self, tensor: Any, value: Any) -> Any:
            return value.copy()

        def bprop(self, tensor: Any, value: Any, out: Any, dout: Any) -> Any:
            return dout, ops.zeros_like(value)

    return Instead()


@contextlib.contextmanager
def _as_before(net: Any) -> Iterator[None]:
    """In eager mode; afterwards modes, buffers, the parameters that are no weights, random states are as they were."""
    import mindspore

    cells = [(cell, cell.training, cell._phase) for _, cell in net.cells_and_names()]
    kept = {raw.path: np.array(tensor_to_numpy(raw.tensor)) for raw in iter_parameters(net) or () if not raw.trainable}
    mode, compiles, state = mindspore.get_context("mode"), os.environ.get("MS_JIT"), mindspore.get_rng_state()
    try:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
        os.environ["MS_JIT"] = "0"  # MindSpore looks at each call whether it is to compile
        yield
    finally:
        mindspore.set_context(mode=mode)
        os.environ.pop("MS_JIT", None)
        if compiles is not None:
            os.environ["MS_JIT"] = compiles
        mindspore.set_rng_state(state)
        for cell, training, phase in cells:
            cell.add_flags(training=training)
            cell._phase = phase
        now: dict[str, Any] = {
            raw.path: tensor_to_numpy(raw.tensor) for raw in iter_parameters(net) or () if raw.path in kept
        }
        load_parameters(
            net, {path: kept[path] for path, value in now.items() if value.tobytes() != kept[path].tobytes()}
        )
