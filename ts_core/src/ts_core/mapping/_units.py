"""What matching works on: the layers of a source or target, each with the parameters it owns, in canonical terms.

A *unit* is a layer of a known kind, or one part of a composite layer (the output projection of an attention), or a
parameter that belongs to no known layer. Networks say which layer owns a parameter; a file says only names and shapes,
from which :mod:`ts_core.mapping._inference` reads what it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from ts_core.contract.layers import COUNTER, KINDS, OPTIONAL
from ts_core.contract.nouns import LayerRule, Parameter, TensorInfo
from ts_core.contract.readers import LazyTensors
from ts_core.errors import WeightMapError
from ts_core.mapping._inference import Reading, read_layers
from ts_core.mapping._rules import known_by_name
from ts_core.sources import NetworkTensors

if TYPE_CHECKING:
    import numpy as np

    from ts_core.contract.transforms import Transform

Shape = tuple[int, ...]

# Roles that take the same place in layers of different kinds; that of a bare 1-D weight in a file is not known.
_PLACES = {"scale": "weight", "slope": "weight"}
# What a layer of the other framework may lack without being another layer.
OPTIONAL_ROLES = frozenset(role for kind in KINDS.values() for role, need in kind.roles.items() if need == COUNTER)
# Families of layers that add one bias to their result, and that every framework also builds without it.
BIAS_IS_OPTIONAL = frozenset(
    kind.family for kind in KINDS.values() if "weight" in kind.roles and kind.roles.get("bias") == OPTIONAL
)
# Families of layers that add their two biases, one of the inputs and one of the hidden state, to each other.
BIASES_ARE_ADDED = frozenset(kind.family for kind in KINDS.values() if kind.adds_biases)


@dataclass(frozen=True, eq=False, slots=True)
class Slot:
    """A tensor in its place in a unit.

    Attributes:
        name: as the source or target calls it.
        shape: as stored.
        canonical: its shape in canonical layout.
        layout: the transform from the canonical layout to the stored one.
        role: canonical, or the local name where no rule knows it.
        trainable: whether it is a parameter; None when that is not known.
        integral: whether its elements are whole numbers: a counter, an index, a mask.
        tied_to: the name of an earlier tensor that it is.
        parts: the tensors that it stands for, when it is a fused one that is stored apart.
    """

    name: str
    shape: Shape
    canonical: Shape
    layout: Transform | None
    role: str
    trainable: bool | None
    integral: bool
    tied_to: str | None = None
    parts: tuple[Slot, ...] = ()

    @property
    def place(self) -> tuple[str, Shape]:
        """What has to agree with the partner: the place in the layer, and the sizes without axes of size 1."""
        return _PLACES.get(self.role, self.role), tuple(size for size in self.canonical if size != 1)

    def stored(self) -> tuple[Slot, ...]:
        """The tensors that it is stored as: itself, or its parts."""
        return self.parts or (self,)


@dataclass(eq=False, slots=True)
class Unit:
    """A layer, a part of one, or a lone parameter.

    Attributes:
        path: where it is, in canonical terms.
        families: what it may be, whatever the number of dimensions (``"conv"``): one family of a layer of a network;
            all that fit the names and shapes of a file; none when nothing is known.
        slots: role → slot.
        position: in the order of definition (or execution).
        lone: whether it is a single parameter outside any known layer; its last component is then its own name.
    """

    path: str
    families: frozenset[str]
    position: int
    lone: bool = False
    slots: dict[str, Slot] = field(default_factory=dict)

    def stored(self) -> Iterator[Slot]:
        """Its tensors as they are stored."""
        return (part for slot in self.slots.values() for part in slot.stored())

    @property
    def family(self) -> str | None:
        """What it is; None when that is not known, or not for sure."""
        return next(iter(self.families)) if len(self.families) == 1 else None

    @property
    def signature(self) -> tuple[tuple[str, Shape], ...]:
        """What two units must share to be partners; a lone parameter is known by its sizes alone."""
        if self.lone:
            return tuple(("", slot.place[1]) for slot in self.slots.values())
        return tuple(sorted(slot.place for role, slot in self.slots.items() if role not in OPTIONAL_ROLES))

    @property
    def elements(self) -> int:
        """How many elements its tensors have together."""
        return sum(prod(slot.shape) for role, slot in self.slots.items() if role not in OPTIONAL_ROLES)


def family(kind: str | None) -> str | None:
    """A kind without what does not matter for its parameters: dimensions, synchronisation, pooling of a lookup."""
    return kind if kind is None or kind not in KINDS else KINDS[kind].family


def compatible(a: Unit, b: Unit) -> bool:
    """Whether the kinds of two units of equal signature allow them to be partners."""
    if a.family is None or b.family is None or a.family == b.family:
        return True
    return {a.family, b.family} == {"conv", "linear"}  # a convolution with a kernel of size 1 is a linear layer


def units_of(source: LazyTensors, rules: Sequence[LayerRule], other: LazyTensors) -> list[Unit]:
    """The units of an opened source, in its order.

    Args:
        source: a network, a checkpoint or a mapping, opened.
        rules: those that may explain the names of a file.
        other: what it is to be matched to: a network knows the names that it writes into files.
    """
    if isinstance(source, NetworkTensors):
        return _of_parameters(source.parameters)
    index = known_by_name(source.index, other.index, rules) if isinstance(other, NetworkTensors) else source.index
    return _of_readings(read_layers(index, rules), index)


def _of_parameters(parameters: Iterable[Parameter]) -> list[Unit]:
    units: dict[tuple[str, bool], Unit] = {}
    seen: dict[str, str] = {}
    for position, parameter in enumerate(parameters):
        if not parameter.persistent:
            continue
        if parameter.name in seen:
            if parameter.tied_to is None:
                raise WeightMapError(
                    f"two parameters of the network are called {parameter.name!r}: at {seen[parameter.name]!r} and at "
                    f"{parameter.path!r}; a file could hold only one of them"
                )
            continue
        seen[parameter.name] = parameter.path
        known = parameter.kind is not None and parameter.role is not None
        path, lone, role = _place(parameter, known)
        slot = _slot(parameter, role)
        key = (path, lone)
        unit = units.get(key)
        if unit is None:
            unit = units[key] = Unit(path, _families(parameter) if known else frozenset(), position, lone)
        unit.slots[role] = slot
    return [_alone(unit) for unit in units.values()]


def _alone(unit: Unit) -> Unit:
    """A layer of an unknown kind that has one parameter is that parameter."""
    if unit.family is not None or unit.lone or len(unit.slots) > 1:
        return unit
    (slot,) = unit.slots.values()
    local = slot.name.rpartition(".")[2]
    return Unit(f"{unit.path}.{local}".lstrip("."), frozenset(), unit.position, True, {local: slot})


def _place(parameter: Parameter, known: bool) -> tuple[str, bool, str]:
    if known:
        part, _, role = (parameter.role or "").rpartition(".")
        return ".".join(filter(None, (parameter.layer, part))), False, role
    parent, _, local = parameter.path.rpartition(".")
    if local in _LAYER_LOCALS:
        return parent, False, _LAYER_LOCALS[local]
    return parameter.path, True, local


# The parameters of a layer of an unknown kind that are one layer's all the same.
_LAYER_LOCALS: Mapping[str, str] = {
    "weight": "weight",
    "bias": "bias",
    "gamma": "scale",
    "beta": "bias",
    "running_mean": "mean",
    "running_var": "variance",
    "moving_mean": "mean",
    "moving_variance": "variance",
    "num_batches_tracked": "batch_count",
}


def _families(parameter: Parameter) -> frozenset[str]:
    """The family of the layer; that of a part of a layer, to which a role ``norm1.scale`` belongs, is not known."""
    own = None if "." in (parameter.role or "") else family(parameter.kind)
    return frozenset({own} if own else ())


def _slot(parameter: Parameter, role: str) -> Slot:
    canonical = parameter.layout.inverse().shapes(parameter.shape)[0] if parameter.layout else parameter.shape
    return Slot(
        parameter.name,
        parameter.shape,
        canonical,
        parameter.layout,
        role,
        parameter.trainable,
        _integral(parameter.dtype),
        parameter.tied_to,
    )


def _integral(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biu"


def _of_readings(found: Iterable[Reading], index: Mapping[str, TensorInfo]) -> list[Unit]:
    units: dict[tuple[str, bool], Unit] = {}
    for position, reading in enumerate(found):
        # The layout of several kinds that fit is that of the plainest; the partner's kind decides later.
        kind = min(reading.kinds, key=lambda kind: len(kind.layout), default=None)
        families = frozenset(own for kind in reading.kinds if (own := family(kind.kind)))
        for local, name in reading.names.items():
            role = kind.roles[local] if kind else local
            part, _, role = role.rpartition(".")
            path = ".".join(filter(None, (reading.layer, part if kind else local)))
            layout = kind.layout.get(kind.roles[local]) if kind else None
            unit = units.setdefault(
                (path, kind is None), Unit(path, frozenset() if part else families, position, kind is None)
            )
            info = index[name]
            canonical = layout.inverse().shapes(info.shape)[0] if layout else info.shape
            unit.slots[role] = Slot(name, info.shape, canonical, layout, role, None, _integral(info.dtype))
    return list(units.values())
