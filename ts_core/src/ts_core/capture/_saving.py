"""``ts.save`` and ``ts.save_grad``: write tensors of a running network as they are at the call, and their gradients."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from ts_core.capture._verb import Verb
from ts_core.contract.naming import Place, base_name, check_output_mode, full_suffix, leaf_name, leaves, shown
from ts_core.contract.saved_files import emit, no_gradient_warning
from ts_core.errors import CaptureError, TsError, UnsupportedTensorError

if TYPE_CHECKING:
    from ts_core.contract.arrays import Array

Tensor = TypeVar("Tensor")

#: Told the name and the data of every :func:`save` while a network is traced.
probe: ContextVar[Callable[[str, object], None] | None] = ContextVar("probe", default=None)

_NUMERIC_KINDS = "biufcV"  # what a file of numbers can hold; V: bfloat16, float8


@Verb
def save(
    file: str | os.PathLike[str],
    data: object,
    suffix: str | None = None,
    output_mode: str = "npy",
    *,
    rank: bool = False,
) -> None:
    """Save a tensor, or nested containers of tensors, as numbered ``.npy`` files; the network runs on unchanged.

    A file is called ``<file>[.<index or key>…][_<suffix>]_<dtype>_<number>.npy``. The number counts the tensors saved
    by this process, from 0, in the order of the calls; a number whose file exists already is passed over, so nothing
    is ever overwritten, whoever else writes into the folder. A ``/`` in a key becomes a ``.``.

    Works inside networks of every framework that has a plug-in: eagerly, under ``torch.compile`` (where the call breaks
    the graph) and inside MindSpore's compiled graphs. The file holds the values at the call.

    Args:
        file: path that the names begin with; a trailing ``.npy`` is dropped, folders are created.
        data: a tensor of any shape and dtype, on any device; an array, a number; or lists, tuples and dicts of those,
            nested. None inside is passed over. bfloat16 and float8 are stored as float32, and the name tells the dtype.
        suffix: put before the dtype in the name.
        output_mode: ``"npy"``, or ``"print"`` to print ``_TS_SAVE_NAME:<name>`` and the tensor instead.
        rank: also put ``rank<n>`` into the names, when the launcher has set ``RANK`` or ``RANK_ID``.

    Raises:
        ArgumentTypeError: `file` is no path.
        ArgumentError: `file` ends in a separator; `output_mode` is neither of the two.
        NoPluginError: an item is not a tensor (a TypeError); the message says which, as ``data["a"][2]``.
        UnsupportedTensorError: a tensor has no dense array of numbers.
        CaptureError: a tensor could not be read from its device.
        SaveError: the file cannot be written (an OSError); no partial file stays.
    """
    base, suffix = base_name(file), full_suffix(suffix, rank)
    check_output_mode(output_mode)
    _put_out(base, data, suffix, output_mode)
    told = probe.get()
    if told is not None:
        told(base, data)


@Verb
def save_grad(
    file: str | os.PathLike[str],
    data: Tensor,
    suffix: str | None = "backward",
    output_mode: str = "npy",
    *,
    rank: bool = False,
) -> Tensor:
    """Save the gradient of a tensor once the backward pass reaches it; go on with the tensor that is returned.

    What is saved is the gradient with respect to the returned tensor: of everything that is computed from it, and of
    nothing that is computed from `data` itself. It equals the gradient of a parameter of zeros added at this place.

    The arguments are those of :func:`save`, except that `data` is one tensor, of any shape, of a framework that has a
    plug-in.

    Returns:
        A tensor with the values of `data`. If no gradient will ever reach it, `data` itself, with a CaptureWarning;
        inside a MindSpore graph, which is compiled before anybody asks for gradients, there is no such warning.

    Raises:
        As :func:`save`; errors of writing come out of the backward pass.
    """
    from ts_core.frameworks import no_plugin, registry

    base, suffix = base_name(file), full_suffix(suffix, rank)
    check_output_mode(output_mode)

    def write(gradient: object) -> None:
        _put_out(base, gradient, suffix, output_mode)

    tensor: Any = registry().first("on_gradient", data, tensor=data, callback=write)
    if tensor is None:
        raise no_plugin(data)
    if tensor is data:
        warnings.warn(no_gradient_warning(base), stacklevel=4)
    return tensor  # type: ignore[no-any-return]


def _put_out(base: str, data: object, suffix: str, output_mode: str) -> None:
    for place, leaf in leaves(data):
        array = _array(place, leaf)
        emit(leaf_name(base, place, suffix, array.dtype.name), array, output_mode)


def _array(place: Place, leaf: object) -> Array:
    from ts_core.frameworks import to_numpy  # the room of plug-ins is a heavy import for `import ts_core`

    try:
        array = to_numpy(leaf)
    except TsError as problem:
        raise type(problem)(f"{shown(place)}: {problem}") from problem
    except Exception as problem:
        raise CaptureError(f"{shown(place)}: cannot read this {type(leaf).__name__}: {problem}") from problem
    if array.dtype.kind not in _NUMERIC_KINDS or array.dtype.names:
        raise UnsupportedTensorError(f"{shown(place)}: an array of dtype {array.dtype} holds no numbers")
    return array
