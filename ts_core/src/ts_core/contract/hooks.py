"""The contract between the core and a framework's plug-in, on one page.

A plug-in is a module that implements some of these hooks with :data:`hookimpl`, registered under the entry-point group
``ts_core``. A hook answers ``None`` for "not mine", and the first other answer wins; a hook that recognised its object
and then failed raises. Importing the plug-in must not import the framework: recognise a type with
:func:`~ts_core.contract.is_instance` and import the framework inside the hook that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.nouns import CONTRACT_VERSION as CONTRACT_VERSION
from ts_core.contract.nouns import Layer, LayerRule, RawParameter
from ts_core.contract.tracing import Inputs, Observer, Traced

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

PROJECT = "ts_core"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def framework_info() -> FrameworkInfo:
    """Name the framework, its distribution, the classes claimed and the file formats, without importing it."""
    raise NotImplementedError


@hookspec(firstresult=True)
def tensor_to_numpy(tensor: object) -> Array | None:
    """This tensor as an array of its very bits, sharing memory where possible; bfloat16 and float8 as `ml_dtypes`."""


@hookspec(firstresult=True)
def tensor_from_numpy(array: Array, framework: str) -> object | None:
    """A tensor of the framework called so, with the very bits of the array (which it does not share)."""


@hookspec(firstresult=True)
def iter_layers(net: object) -> Iterable[Layer] | None:
    """Every layer of a network in definition order: the network itself first, a shared layer at each of its places."""


@hookspec(firstresult=True)
def iter_parameters(net: object) -> Iterable[RawParameter] | None:
    """Every parameter and buffer of a network in definition order, a shared one at each of its places.

    A network that has not made its parameters yet is refused with :class:`~ts_core.contract.errors.NotBuiltError`.
    Where a tensor is tied and the framework writes it once, it has that one name at each of its places.
    """


@hookspec(firstresult=True)
def load_parameters(net: object, arrays: Mapping[str, Array]) -> object | None:
    """Copy arrays into the parameters at these paths; the answer is the network that holds them: this, or a new one.

    The core has checked that each array has its parameter's shape and cast it to its dtype, and names a tied tensor
    once, at the first of its places. The mapping makes an array when it is asked for it: ask once, and keep none.
    """


@hookspec(firstresult=True)
def trace_network(
    net: object, inputs: Inputs, observer: Observer, training: bool | None, loss: Callable[[Any], Any] | None
) -> Traced | None:
    """Run a network once and tell the observer of every call of every layer.

    It runs in training mode or in evaluation mode, or (None) every layer in the mode in which it is.

    Containers and the network itself are told as well. The arrays of `inputs` become tensors where the network is.
    With `loss` the backward pass of ``loss(output)`` follows, and the gradients with respect to the inputs and outputs
    of each call are told, those of the parameters answered. What the observer answers takes the place of a call, of an
    output, of a gradient. Afterwards, also after an exception, everything is as before: the mode of every layer, hooks,
    ``requires_grad``, the parameters' gradients, buffers, random states. An exception inside the network comes out with
    a note that names the layer. :class:`~ts_core.contract.tracing.Calls` keeps the book.
    """


@hookspec(firstresult=True)
def in_double(layer: object) -> object | None:
    """A copy of a layer with its floating-point parameters and buffers in float64, without its hooks."""


@hookspec(firstresult=True)
def extract_gradients(source: object, net: object | None) -> Mapping[str, Array | None] | None:
    """Gradients (arrays or tensors) by parameter name: of a network after backward, or as a grad function gave them."""


@hookspec(firstresult=True)
def on_gradient(tensor: object, callback: Callable[[object], None]) -> object | None:
    """The tensor to go on with, whose gradient `callback` will get; `tensor` itself when it will have no gradient."""


@hookspec(firstresult=True)
def graph_function(verb: str) -> Callable[..., Any] | None:
    """What my graph compiler parses in place of ``ts.save`` or ``ts.save_grad``, of which `verb` is the name."""


@hookspec(firstresult=True)
def hide_from_compiler(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function, wrapped so that my tracing compiler runs it as it is; None while no such compiler is loaded."""


@hookspec
def layer_rules() -> Sequence[LayerRule]:
    """The table of how this framework spells the canonical layers."""
    raise NotImplementedError


@hookspec
def seed(seed: int, deterministic: bool) -> None:
    """Seed the framework's generators, and if asked make it deterministic, if it has been imported already."""
