"""What matching works on: the layers of a source or target, each with the parameters it owns, in canonical terms.

A *unit* is a layer of a known kind, or one part of a composite layer (the output projection of an attention), or a
parameter that belongs to no known layer. Networks say which layer owns a parameter; a file says only names and shapes,
from which :mod:`ts_core.mapping._inference` reads what it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        joint: the roles of the tensor, in order, when it holds that of this slot joined with others; the layout then
            leads from the canonical arrays of all of them to the one that is stored.
        share: which of these is that of this slot.
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
    joint: tuple[str, ...] = ()
    share: int = 0

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
        """Its tensors as they are stored, each once."""
        stored = (part for slot in self.slots.values() for part in slot.stored())
        return iter({part.name: part for part in stored}.values())

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
        return units_of_parameters(source.parameters)
    index = known_by_name(source.index, other.index, rules) if isinstance(other, NetworkTensors) else source.index
    return _of_readings(read_layers(index, rules), index)


def units_of_parameters(parameters: Iterable[Parameter]) -> list[Unit]:
    """The units of a network's parameters, in their order."""
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
        for slot in _slots(parameter) if known else [_slot(parameter, "")]:
            path, lone, role = _place(parameter, slot.role)
            unit = units.get((path, lone))
            if unit is None:
                families = _families(parameter.kind, slot.role) if known else frozenset()
                unit = units[path, lone] = Unit(path, families, position, lone)
            unit.slots[role] = slot if slot.role == role else replace(slot, role=role)
    return [_alone(unit) for unit in units.values()]


def _alone(unit: Unit) -> Unit:
    """A layer of an unknown kind that has one parameter is that parameter."""
    if unit.family is not None or unit.lone or len(unit.slots) > 1:
        return unit
    (slot,) = unit.slots.values()
    local = slot.name.rpartition(".")[2]
    return Unit(f"{unit.path}.{local}".lstrip("."), frozenset(), unit.position, True, {local: slot})


def _place(parameter: Parameter, role: str) -> tuple[str, bool, str]:
    """The path of the unit, whether it is a lone one, and the role there; `role` is empty where no rule knows it."""
    if role:
        part, _, role = role.rpartition(".")
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


def _families(kind: str | None, role: str) -> frozenset[str]:
    """The family of the layer; that of a part of a layer, to which a role ``norm1.scale`` belongs, is not known."""
    own = None if "." in role else family(kind)
    return frozenset({own} if own else ())


def _slots(parameter: Parameter) -> list[Slot]:
    """One slot for each role of a parameter; its role is still the whole one."""
    if not isinstance(parameter.role, tuple):
        return [_slot(parameter, parameter.role or "")]
    assert parameter.layout is not None
    shapes = parameter.layout.inverse().shapes(parameter.shape)
    whole = replace(_slot(parameter, ""), joint=parameter.role)
    return [
        replace(whole, role=role, canonical=shape, share=share)
        for share, (role, shape) in enumerate(zip(parameter.role, shapes, strict=True))
    ]


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
            whole = kind.roles[local] if kind else local
            roles = whole if isinstance(whole, tuple) else (whole,)
            layout = kind.layout.get(whole) if kind else None
            info = index[name]
            shapes = layout.inverse().shapes(info.shape) if layout else (info.shape,)
            joint = roles if len(roles) > 1 else ()
            for share, (role, canonical) in enumerate(zip(roles, shapes, strict=True)):
                part, _, role = role.rpartition(".")
                path = ".".join(filter(None, (reading.layer, part if kind else local)))
                unit = units.setdefault(
                    (path, kind is None), Unit(path, frozenset() if part else families, position, kind is None)
                )
                integral = _integral(info.dtype)
                unit.slots[role] = Slot(
                    name, info.shape, canonical, layout, role, None, integral, joint=joint, share=share
                )
    return list(units.values())
