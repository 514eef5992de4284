"""The nouns of the project: small immutable values that plug-ins and the core hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ts_core.contract.settings import Spelling
    from ts_core.contract.transforms import Transform

#: What a parameter is to its layer, in canonical terms: a role, or the several that it holds joined in one array.
Role = str | tuple[str, ...]

#: The contract between the core and its plug-ins that this module and :mod:`ts_core.contract.hooks` describe. It grows
#: when a plug-in written for the new one could not work with the old one.
CONTRACT_VERSION = 2


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One layer of a network, as a plug-in's ``iter_layers`` tells it.

    Attributes:
        path: where it is found from the network: the attributes joined by dots; ``""`` for the network itself.
        layer: the framework's own object.
        training: whether it is in training mode; None where the framework has no such mode, or it does not matter.
    """

    path: str
    layer: object = field(repr=False)
    training: bool | None = None


@dataclass(frozen=True, eq=False, slots=True)
class RawParameter:
    """One parameter or buffer of a network, as a plug-in's ``iter_parameters`` tells it: what only a framework knows.

    The core adds shape, dtype, owner, kind, role, layout and ties, and makes a :class:`Parameter` of it.

    Attributes:
        path: where it is found from the network: the attributes joined by dots.
        tensor: the framework's own object, the very same one in each place where the network uses it.
        name: as the framework writes it into files; ``None`` when that is the path, or what the rule of its layer and
            ``FrameworkInfo.file_name`` make of it. A tied tensor of which the framework writes one name has that
            name at each of its places.
        trainable: whether the framework would give it a gradient.
        persistent: whether the framework writes it into its checkpoints.
    """

    path: str
    tensor: object = field(repr=False)
    name: str | None = None
    trainable: bool = True
    persistent: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class Parameter:
    """A parameter or buffer of a network, seen without its framework.

    Attributes:
        name: as the framework writes it into files (MindSpore: ``Parameter.name``, which may differ from the path).
        shape: of the tensor as the framework stores it.
        dtype: the NumPy (or ``ml_dtypes``) dtype of its elements.
        path: where it is found from the network: the attributes joined by dots. Often equal to ``name``.
        layer: the path of the layer that owns it, ``""`` for the network itself.
        kind: what that layer is, in canonical terms (``"batch_norm2d"``); ``None`` when no rule knows it.
        role: what the parameter is to that layer, in canonical terms (``"scale"``), or the tuple of what it is at once
            (``("bias_ih", "bias_hh")``); ``None`` when no rule knows it.
        trainable: whether the framework would give it a gradient.
        persistent: whether the framework writes it into its checkpoints.
        tied_to: the name of an earlier parameter that is the very same tensor, else ``None``.
        value: the framework's own tensor.
        layout: the transform that takes the canonical layout of its array, or the canonical arrays of its several
            roles in turn, to what ``value`` holds; ``None`` when the framework stores the canonical layout.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: str
    layer: str
    kind: str | None
    role: Role | None
    trainable: bool
    persistent: bool
    tied_to: str | None
    value: object = field(repr=False)
    layout: Transform | None = None


@dataclass(frozen=True, slots=True)
class LayerRule:
    """How one framework spells one kind of layer.

    Attributes:
        cls: the public name of the layer's class, ``"torch.nn.BatchNorm2d"``. It is matched along the MRO of a layer
            (by class name and package), so subclasses count and the framework need not be imported.
        kind: the canonical name of the layer, ``"batch_norm2d"``.
        roles: the attribute path of each parameter inside the layer → its canonical role. A path may lead through
            inner layers (``"bn2d.gamma"``): the outer layer then owns the parameter. One array that holds several
            roles has the tuple of them, ``{"bias": ("bias_ih", "bias_hh")}``.
        layout: canonical role → the transform that takes the canonical layout of its array to the one this framework
            stores. Roles that are not listed are stored in canonical layout. Where the layout depends on how a layer
            was made (the number of heads), a function of the layer that returns the transform. A tuple of roles has to
            be listed: its transform joins their canonical arrays, in the order of the tuple, into the one array.
        when: asked with the layer, where one class stands for several kinds (a ``Conv`` of any number of dimensions):
            whether this rule is the one. ``None`` when the class decides alone.
        root_names: attribute path → the name in files when the layer is itself the network, where that differs.
        file_names: attribute path → what files call the parameter inside the layer, where that differs
            (``"kernel"`` → ``"vars.0"``); ``FrameworkInfo.file_name`` then joins it to the layer's path.
        settings: canonical setting (:data:`~ts_core.contract.layers.KINDS`) → how this framework spells it
            (:mod:`ts_core.contract.settings`).
        then: the attribute paths of inner layers that work on its output, and are layers of their own: the activation
            that a linear layer was given. What else is inside a layer of the class is a part of it.
    """

    cls: str
    kind: str
    roles: Mapping[str, Role]
    layout: Mapping[Any, Transform | Callable[[Any], Transform | None]] = field(default_factory=dict)
    when: Callable[[Any], bool] | None = None
    root_names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Spelling] = field(default_factory=dict)
    file_names: Mapping[str, str] = field(default_factory=dict)
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What a tensor is to which layer: told by a file that knows more than names, nothing has to be inferred.

    Attributes:
        layer: the path of the layer, its parts joined by dots; ``""`` for the network itself.
        kind: what that layer is, in canonical terms (:data:`~ts_core.contract.layers.KINDS`).
        role: what the tensor is to that layer, in canonical terms, or the several that it joins.
        layout: the transform that takes the canonical layout to the one in the file; ``None`` when it is canonical.
    """

    layer: str
    kind: str
    role: Role
    layout: Transform | None = None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a checkpoint, from the index alone: no data was read.

    Attributes:
        name: its name in the checkpoint.
        shape: its shape; ``()`` for a scalar.
        dtype: the dtype of its elements.
        nbytes: the size of its elements in bytes.
        place: what it is to which layer, where the file says so.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One of the things that a checkpoint holds side by side.

    Attributes:
        name: where it is in the file, inner levels joined by dots; ``""`` for the file itself.
        kind: ``"model"``, ``"optimizer"``, ``"scheduler"`` or ``"other"``.
        tensors: the names of its tensors, each as the section itself knows it, in file order.
    """

    name: str
    kind: str
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointIndex(Mapping[str, TensorInfo]):
    """What a checkpoint holds, or will hold: names, shapes, dtypes, in file order, and what is no tensor.

    Attributes:
        tensors: name → :class:`TensorInfo`, in file order.
        metadata: entries that are no tensors (epochs, notes), by name.
        sections: what the file holds, of which `tensors` are one; by default a model alone, with all tensors.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, object] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()

    def __post_init__(self) -> None:
        """A checkpoint that says nothing of sections is a model."""
        if not self.sections:
            object.__setattr__(self, "sections", (Section("", "model", tuple(self.tensors)),))

    def __getitem__(self, name: str) -> TensorInfo:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How a checkpoint is to be opened: the keyword arguments of ``ts.open_checkpoint``.

    Attributes:
        key: which of several nested state dicts to read; ``None`` chooses, and logs the choice when there was one.
        verify: check the checksums that the file carries.
        trust_pickle: let the framework unpickle the file, which runs whatever code the file names.
    """

    key: str | None = None
    verify: bool = False
    trust_pickle: bool = False


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What happened when arrays were put into a network.

    Attributes:
        loaded: names that were set.
        missing: names that the network has and the arrays lack.
        unexpected: names that the arrays have and the network lacks.
        mismatched: name → (shape in the network, shape of the array).
        network: the network that holds the arrays: the one that was given, unless its framework makes a new one.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    network: object = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        """True when everything fitted."""
        return not (self.missing or self.unexpected or self.mismatched)
