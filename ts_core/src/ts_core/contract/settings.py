"""How a framework spells the settings of a layer, and the named converters that give their canonical meaning.

In the table of layer rules each setting of :data:`~ts_core.contract.layers.KINDS` stands beside one of these:

- ``"epsilon"``: the attribute path that holds it; a part of a path may also be a number or a key.
- ``Spelled("keep_prob", "one_minus")``: attributes, and the converter of :data:`CONVERTERS` that makes the canonical
  value of theirs; or, where no converter fits, a function of their values.
- ``Always(False)``: the framework has no such argument, and this is what its layer does.
- a function of the layer, where attributes alone do not tell.

A value is canonical when two layers that have it compute the same by it. Numbers that mean every axis are told for each
axis, floats to 12 digits, so that ``1 - 0.9`` is ``0.1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[int, int]

#: The value of ``pads`` that depend on the size of the input: as many as make the output ``ceil(size / stride)``.
SAME, SAME_LOWER = "same", "same_lower"


@dataclass(frozen=True, slots=True)
class Spelled:
    """How a framework spells a setting.

    Attributes:
        attributes: attribute paths inside the layer, with blanks between; their values are given to the converter.
            ``"pads|pad_list"`` is the first of several that the layer has.
        converter: a name of :data:`CONVERTERS`, or a function of the values alone; ``""`` takes the one value as it is.
        arguments: further arguments of the converter, by name.
        otherwise: stands for an attribute that the layer does not have; ``...`` when it must have them all.
    """

    attributes: str
    converter: str | Callable[..., object] = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    otherwise: object = ...


@dataclass(frozen=True, slots=True)
class Always:
    """What a layer does of which the framework lets nobody choose."""

    value: object


Spelling = str | Spelled | Always | Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting of one layer.

    Attributes:
        kind: what the layer is, in canonical terms.
        value: in the meaning and units of :data:`~ts_core.contract.layers.KINDS`: None, a bool, a number, a string, or
            a tuple of these.
        spelled: the attributes that say it, with blanks between; empty when the framework lets nobody choose.
        raw: what stands there: the value of the one attribute, or of each of several, by its path.
    """

    kind: str
    value: object
    spelled: str
    raw: object


def read(layer: object, paths: str, otherwise: object = ...) -> Any:
    """The value at an attribute path, or at the first of several with ``|`` between that is there.

    Raises:
        LookupError: none is there, and there is no value to be taken `otherwise`.
    """
    for path in paths.split("|"):
        value: Any = layer
        try:
            for part in path.split("."):
                known = part if isinstance(value, Mapping) else int(part) if part.isdigit() else None
                value = getattr(value, part) if known is None else value[known]
        except (AttributeError, LookupError):
            continue
        return value
    if otherwise is ...:
        raise LookupError(f"a {type(layer).__qualname__} has no {paths!r}")
    return otherwise


# The converters. Each takes the number of axes of space that the kind works on, then the values of the attributes.


def as_it_is(axes: int | None, value: object) -> object:
    """The value itself."""
    return value


def one_minus(axes: int | None, value: float) -> float:
    """The share of the other: what is kept → what is dropped; the share of the old value → that of the new one."""
    return 1 - value


def reciprocal(axes: int | None, value: float) -> float:
    """``1 / value``."""
    return 1 / value


def is_given(axes: int | None, value: object) -> bool:
    """Whether it is there at all: a bias that is None, or False, is not."""
    return value is not None and value is not False


def negated(axes: int | None, value: object) -> bool:
    """Whether it is false."""
    return not value


def first_given(axes: int | None, *values: Any, last: object = None) -> object:
    """The first value that is not None, for each axis: a stride, else the size of the window; or `last`."""
    return each_axis(axes, next((value for value in values if value is not None), last))


def each_axis(axes: int | None, value: Any) -> object:
    """One for each axis of space: a number means all of them; axes that stand before those of space are left out."""
    if axes is None or value is None or isinstance(value, str):
        return value
    if not isinstance(value, Sequence):
        return (value,) * axes
    return tuple(value) * axes if len(value) == 1 else tuple(value)[-axes:]


def as_tuple(axes: int | None, value: Any) -> tuple[Any, ...]:
    """A tuple, also of one number."""
    return tuple(value) if isinstance(value, Sequence) else (value,)


def kept_axes(axes: int | None, value: Any) -> object:
    """Sizes of an output for each axis, where None or -1 keeps the size of the input."""
    sizes = each_axis(axes, value)
    return tuple(None if size in (None, -1) else int(size) for size in sizes) if isinstance(sizes, tuple) else sizes


def one_number(axes: int | None, value: Any) -> object:
    """One number where all of several are equal."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(set(value)) == 1:
        return value[0]
    return value


def numbers(axes: int | None, value: Any) -> object:
    """The elements of a tensor, such as the weights of classes."""
    return value if value is None else value.tolist()


def backwards(axes: int | None, padding: Any) -> object:
    """A pair for each axis, from what begins with the last one, or one number for all; axes left out have none."""
    if not isinstance(padding, Sequence):
        return ((padding, padding),) * (axes or 1)
    pairs = list(zip(padding[::2], padding[1::2], strict=True))[::-1]
    return (*(((0, 0),) * ((axes or 0) - len(pairs))), *pairs)


def function_name(axes: int | None, value: Any) -> str:
    """What an activation is called: a name, a function, or a layer: ``gelu_tanh`` for the approximate one."""
    if isinstance(value, str):
        return value
    name = str(getattr(value, "__name__", type(value).__name__)).lower()
    return f"{name}_tanh" if getattr(value, "approximate", None) in (True, "tanh") else name


def statistics_axes(axes: int | None, shape: Any, begin: int, parameters: int = -1) -> object:
    """The shape that is normalised together: from axis `begin` of the *input* on, whose last axes have the `shape`.

    Axis `parameters` of the input is where those of the parameters begin, which have the shape: unless it counts from
    the end, it says how many axes the input has.
    """
    if begin >= 0 and parameters >= 0:
        begin -= parameters + len(as_tuple(axes, shape))
    if begin >= 0:
        return f"every axis from {begin}"
    return as_tuple(axes, shape)[begin:] if -begin <= len(as_tuple(axes, shape)) else f"the last {-begin} axes"


def padding_mode(axes: int | None, padding: Any) -> str:
    """What is put outside of the edges, where the way of padding says so as well: ``CIRCULAR``."""
    return padding.lower() if isinstance(padding, str) and padding.lower() in ("circular", "reflect") else "zeros"


def pads(
    axes: int | None, padding: Any, kernel_size: Any = 1, stride: Any = 1, dilation: Any = None, mode: str = "pad"
) -> object:
    """A pair for each axis: elements before the begin and behind the end.

    Args:
        axes: of space.
        padding: one number, one for each axis, a begin and an end for each axis, pairs, or the way itself; None is 0.
        kernel_size: of the window.
        stride: of the window.
        dilation: of the window; None is 1.
        mode: the way: ``pad`` as `padding` says; ``valid``; ``causal``; ``same`` and ``same_lower``, which put the odd
            element behind the end and before the begin, and are told by name where they depend on the size of the
            input; ``circular`` and ``reflect``, which do not.
    """
    way = (padding if isinstance(padding, str) else mode).lower()
    reach = [size - 1 for size in _reaches(axes, kernel_size, dilation)]
    if way == "pad":
        return _pairs(padding, len(reach))
    if way == "valid":
        return ((0, 0),) * len(reach)
    if way == "causal":
        return tuple((most, 0) for most in reach)
    steps = each_axis(len(reach), 1 if way in ("circular", "reflect") else stride)
    assert isinstance(steps, tuple)
    if any(step > 1 and most for step, most in zip(steps, reach, strict=True)):
        return way
    halves = [(most // 2, most - most // 2) for most in reach]
    return tuple((end, begin) if way == SAME_LOWER else (begin, end) for begin, end in halves)


def cut(
    axes: int | None,
    padding: Any,
    output_padding: Any,
    kernel_size: Any,
    stride: Any,
    dilation: Any = None,
    mode: str = "pad",
    *,
    told: str = "pads",
    around: bool = False,
) -> object:
    """What a transposed convolution cuts off its output: `told` asks for ``pads`` or ``output_padding``.

    The two say one thing: output padding is what is less cut at the end than at the begin. ``same`` makes the output
    as large as the input times the stride, ``valid`` cuts nothing, and both fill up where the stride passes the window.
    With `around`, padding is what is put around the spread-out input, which is as much less that is cut.
    """
    way = (padding if isinstance(padding, str) else mode).lower()
    reaches = _reaches(axes, kernel_size, dilation)
    steps = as_tuple(None, each_axis(len(reaches), stride or 1))
    more = as_tuple(None, each_axis(len(reaches), output_padding))
    ends = []
    for reach, step, extra, told_pair in zip(reaches, steps, more, _pairs(padding, len(reaches)), strict=True):
        begin, end = told_pair if way == "pad" else (0, 0)
        if way == SAME and reach > step:
            begin, end = (reach - step) // 2, reach - step - (reach - step) // 2
        elif way in (SAME, "valid"):
            end = min(reach - step, 0)
        elif around:
            begin, end = reach - 1 - begin, reach - 1 - end
        ends.append((begin, end - extra))
    if told == "output_padding":
        return tuple(max(begin - end, 0) for begin, end in ends)
    return tuple((begin, max(begin, end)) for begin, end in ends) if way in ("pad", SAME, "valid") else way


def _reaches(axes: int | None, kernel_size: Any, dilation: Any) -> list[int]:
    """How many elements the window spans along each axis."""
    sizes = as_tuple(None, each_axis(axes, kernel_size))
    apart = as_tuple(None, each_axis(len(sizes), dilation or 1))
    return [step * (size - 1) + 1 for size, step in zip(sizes, apart, strict=True)]


def _pairs(padding: Any, axes: int) -> tuple[Pair, ...]:
    if isinstance(padding, str):  # of a way that is told by name nobody asks for numbers
        return ((0, 0),) * axes
    if not isinstance(padding, Sequence):
        return ((padding or 0, padding or 0),) * axes
    if padding and isinstance(padding[0], Sequence):
        return tuple((begin, end) for begin, end in padding)[-axes:]
    if len(padding) == 1:
        return ((padding[0], padding[0]),) * axes
    if len(padding) != axes and len(padding) % 2 == 0:  # a begin and an end for each
        return tuple(zip(padding[::2], padding[1::2], strict=True))[-axes:]
    return tuple((size, size) for size in padding)[-axes:]


#: name → converter
CONVERTERS: Mapping[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        *(as_it_is, one_minus, reciprocal, is_given, negated, first_given, each_axis, as_tuple, kept_axes),
        *(one_number, numbers, backwards, function_name, statistics_axes, padding_mode, pads, cut),
    )
}
