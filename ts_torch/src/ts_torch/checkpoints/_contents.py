"""Where the parameters are in what a torch file holds: a state dict, a module, or either of them inside a dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ts_core.contract.byte_sources import ByteSource
from ts_core.contract.errors import ArgumentError, CheckpointError, NoParametersError, UnsupportedDtypeError
from ts_core.contract.log import logger
from ts_core.contract.nouns import Section
from ts_core.contract.pickles import Global, MalformedError, NumpyArray, Stub
from ts_core.contract.text import listed
from ts_torch.checkpoints._tensors import TensorRecord, UnreadableTensor

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, "TensorRecord | Array"]


# Under which keys training scripts keep the parameters of the model, the most telling first.
_NESTINGS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "params_ema",
    "weights",
    "ema_state_dict",
    "model_ema",
    "ema",
)
# What tells a state that is no model's, and whose it is.
_STATES = {"param_groups": "optimizer", "last_epoch": "scheduler"}
_MAX_DEPTH = 4  # of dicts in dicts, where the parameters are looked for
_MAX_VISITS = 1_000_000  # of modules in modules; a module may stand in several places


@dataclass(frozen=True, slots=True)
class Contents:
    """What was chosen from a file.

    Attributes:
        tensors: the parameters and buffers by name, in file order.
        metadata: everything else beside them, or above them, by name.
        sections: every state that the file holds, these tensors being one.
    """

    tensors: Tensors
    metadata: Mapping[str, object]
    sections: tuple[Section, ...] = ()


def select(root: object, key: str | None, file: ByteSource) -> Contents:
    """The parameters in an unpickled object.

    Args:
        root: what the pickle holds.
        key: where the parameters are, inner levels joined by dots; None to look for them.
        file: named in errors.

    Raises:
        ArgumentError: there is nothing at `key`.
        NoParametersError: there are no parameters.
        UnsupportedDtypeError: some of the parameters have no dense array.
    """
    if key is not None:
        place = _at(root, key, file)
        if not _is_parameters(place):
            raise NoParametersError(f"{file.path}: key={key!r} leads to {_describe(place)}, which holds no parameters")
        chosen = _contents(root, (key,), place, file)
        return replace(chosen, sections=tuple(_sections(root, dict(_candidates(root, (), set())), key, chosen.tensors)))
    found = dict(_candidates(root, (), set()))
    if not found:
        raise NoParametersError(
            f"{file.path}: there are no parameters in it; it holds {_describe(root)}. Save a state dict or a module, "
            "or name the entry that holds one with key="
        )
    path = min(found, key=_rank)
    if len(found) > 1:
        others = ", ".join(repr(".".join(other)) for other in found if other != path)
        logger("ts_core.torch").warning(
            "%s: reading %r; key= chooses another one of: %s", file.path, ".".join(path), others
        )
    chosen = _contents(root, path, found[path], file)
    return replace(chosen, sections=tuple(_sections(root, found, ".".join(path), chosen.tensors)))


def _sections(
    root: object, found: Mapping[tuple[str, ...], object], chosen: str, tensors: Tensors
) -> Iterator[Section]:
    """The chosen parameters first, then other ones; tensors that lie loose around them; optimizers and schedulers."""
    yield Section(chosen, "model", tuple(tensors))
    for path, place in found.items():
        name = ".".join(path)
        if name != chosen:
            kind = "other" if not name or chosen.startswith(f"{name}.") else "model"
            yield Section(name, kind, tuple(name for name, _ in _named_tensors(place)))
    yield from _states(root, (), set())


def _states(value: object, path: tuple[str, ...], seen: set[int]) -> Iterator[Section]:
    """The states of optimizers and schedulers, which training scripts keep in dicts and lists beside the model."""
    if id(value) in seen or len(path) > _MAX_DEPTH or _is_module(value):
        return
    seen.add(id(value))
    entries = dict(enumerate(value)) if isinstance(value, list) else _entries(value) or {}
    kind = next((kind for key, kind in _STATES.items() if key in entries), None)
    if kind is not None:
        yield Section(".".join(path), kind, tuple(_tensor_names(value, "", 0)))
        return
    for name, inner in entries.items():
        if isinstance(inner, dict | list | Stub):
            yield from _states(inner, (*path, str(name)), seen)


def _tensor_names(value: object, prefix: str, depth: int) -> Iterator[str]:
    entries = dict(enumerate(value)) if isinstance(value, list) else _entries(value) or {}
    for name, inner in entries.items():
        if _is_tensor(inner):
            yield f"{prefix}{name}"
        elif depth < _MAX_DEPTH:
            yield from _tensor_names(inner, f"{prefix}{name}.", depth + 1)


def _candidates(value: object, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every place that holds parameters; an optimizer's state is none."""
    if id(value) in seen or len(path) > _MAX_DEPTH:
        return
    seen.add(id(value))
    if _is_parameters(value):
        yield path, value
        if _is_module(value):
            return
    entries = _entries(value)
    if entries is None or "param_groups" in entries:
        return
    for name, inner in entries.items():
        if isinstance(name, str):
            yield from _candidates(inner, (*path, name), seen)


def _rank(path: tuple[str, ...]) -> tuple[float, ...]:
    """Well-known places first, the file's own top level after them, then what has names of its own, in file order."""
    if not path:
        return (len(_NESTINGS),)
    return tuple(_NESTINGS.index(name) if name in _NESTINGS else len(_NESTINGS) + 1 for name in path)


def _at(root: object, key: str, file: ByteSource) -> object:
    value, rest = root, key
    while rest:
        entries = _entries(value) or {}
        # The longest name that fits: names may have dots themselves.
        parts = rest.split(".")
        heads = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        head = next((head for head in heads if head in entries), None)
        if head is None:
            raise ArgumentError(f"{file.path}: there is no key={key!r}; {rest!r} is not in {_describe(value)}")
        value, rest = entries[head], rest[len(head) + 1 :]
    return value


def _contents(root: object, path: tuple[str, ...], place: object, file: ByteSource) -> Contents:
    named = list(_named_tensors(place))
    rest = {
        str(name): value
        for name, value in ({} if _is_module(place) else _entries(place) or {}).items()
        if not (isinstance(name, str) and _is_tensor(value))
    }
    unreadable = [(name, value.reason) for name, value in named if isinstance(value, UnreadableTensor)]
    if unreadable:
        advice = "convert them in torch (.to_dense(), .dequantize()) and save again:"
        reasons = (f"{name}: {reason}" for name, reason in unreadable)
        raise UnsupportedDtypeError(listed(f"{file.path}: these tensors have no dense array; {advice}", reasons))
    tensors: Tensors = {}
    for name, value in named:
        if name in tensors:
            raise CheckpointError(f"{file.path}: {name!r} is there twice")
        tensor = value.array if isinstance(value, NumpyArray) else value
        assert isinstance(tensor, TensorRecord | np.ndarray)
        tensors[name] = tensor
    if path:
        top = path[0].partition(".")[0]
        rest.update(
            (str(name), value) for name, value in (_entries(root) or {}).items() if str(name) not in (top, path[0])
        )
    return Contents(tensors, {name: _plain(value) for name, value in rest.items()})


def _plain(value: object) -> object:
    """NumPy scalars, as training scripts keep their best accuracy, are numbers like any other."""
    return value.item() if isinstance(value, np.generic) else value


def _is_tensor(value: object) -> bool:
    return isinstance(value, TensorRecord | UnreadableTensor | np.ndarray) or (
        isinstance(value, NumpyArray) and value.array is not None
    )


def _entries(value: object) -> Mapping[Any, object] | None:
    """The entries of a dict, of any class."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Stub) and value.entries:
        return value.entries
    return None


def _is_module(value: object) -> bool:
    return isinstance(value, Stub) and isinstance(value.attributes.get("_modules"), dict)


def _is_parameters(value: object) -> bool:
    return next(_named_tensors(value), None) is not None


def _named_tensors(value: object) -> Iterator[tuple[str, object]]:
    """The parameters in a module, or directly in a dict."""
    if _is_module(value):
        yield from _module_tensors(value)
        return
    for name, inner in (_entries(value) or {}).items():
        if isinstance(name, str) and _is_tensor(inner):
            yield name, inner


def _module_tensors(module: object) -> Iterator[tuple[str, object]]:
    """What ``state_dict()`` of a saved module would list: parameters and persistent buffers, then inner modules'."""
    visits = 0
    waiting: list[tuple[str, object]] = [("", module)]
    while waiting:
        prefix, current = waiting.pop()
        visits += 1
        if visits > _MAX_VISITS or prefix.count(".") > 1000:
            raise MalformedError("modules inside modules without end")
        if not isinstance(current, Stub):
            continue
        attributes = current.attributes
        transient = attributes.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            own = attributes.get(kind)
            for name, tensor in own.items() if isinstance(own, dict) else ():
                if _is_tensor(tensor) and not (kind == "_buffers" and name in transient):  # type: ignore[operator]  # a set, or the loop ends in an error that names the file
                    yield f"{prefix}{name}", tensor
        inner = attributes.get("_modules")
        children = inner.items() if isinstance(inner, dict) else ()
        waiting += [(f"{prefix}{name}.", child) for name, child in reversed(list(children))]


def _describe(value: object) -> str:
    """A few words for what a file holds instead of parameters."""
    entries = _entries(value)
    if entries is not None:
        names = ", ".join(repr(name)[:40] for name in list(entries)[:8])
        what = "the state of an optimizer, a dict" if "param_groups" in entries else "a dict"
        return f"{what} with the keys {names}{', …' if len(entries) > 8 else ''}" if entries else "an empty dict"
    if isinstance(value, TensorRecord | np.ndarray):
        return f"a single tensor of shape {value.shape}"
    if isinstance(value, Stub):
        name = value.cls if isinstance(value.cls, Global) else "unknown class"
        return f"an object of {name}"
    return f"a {type(value).__name__}"
