"""What is checked from the index alone, before a byte is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ts_core.contract.dtypes import DtypeTable, dtype_name
from ts_core.contract.files import count_elements
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.errors import CheckpointError, UnsupportedDtypeError
from ts_core.text import listed

_FEW = 8  # dimensions
_WIDER = {"bfloat16": "float32", "float16": "float32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}


def require_dtypes(format: str, index: CheckpointIndex, dtypes: DtypeTable) -> None:
    """Refuse an index with dtypes that a format cannot hold.

    Args:
        format: what the user calls the format.
        index: what is to be written.
        dtypes: the dtypes that the format has.

    Raises:
        UnsupportedDtypeError: it names every tensor concerned, and the cast that would help.
    """
    refuse_tensors(format, (info for info in index.values() if dtypes.spell(info.dtype) is None))


def require_names(format: str, index: CheckpointIndex, problem: Callable[[str], str | None]) -> None:
    """Refuse an index with names that a format cannot hold, or that would come back as other ones.

    Args:
        format: what the user calls the format.
        index: what is to be written.
        problem: a name → what is wrong with it; None when nothing is. That it is no text is found here.

    Raises:
        CheckpointError: it shows every name concerned, and what is wrong with it.
    """
    found = [f"{name!r:.200}: {reason}" for name in index if (reason := _no_text(name) or problem(name))]
    if found:
        advice = "cannot hold the names of some tensors; nothing was written. Give them other ones:"
        raise CheckpointError(listed(f"{format} {advice}", found))


def require_shapes(index: CheckpointIndex) -> None:
    """Refuse shapes that no reader of ours believes: of too many dimensions, or too large but for being empty.

    Raises:
        UnsupportedDtypeError: it names the first.
    """
    for info in index.values():
        if not info.nbytes or len(info.shape) > _FEW:
            try:
                count_elements(info.shape)
            except ValueError as problem:
                raise UnsupportedDtypeError(f"{info.name}: {problem}; nothing was written") from problem


def require_tensors(format: str, index: CheckpointIndex) -> None:
    """Refuse to write a file without tensors in a format in which it would be no checkpoint. Raises CheckpointError."""
    if not index:
        raise CheckpointError(f"{format} without a single tensor could not be read again; nothing was written")


def is_text(value: object) -> bool:
    """Whether a value is a str that UTF-8 can hold: no half of a character, which Python allows."""
    return isinstance(value, str) and _no_text(value) is None


def _no_text(text: str) -> str | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a character (a lone surrogate) is no text"
    return None


def refuse_tensors(format: str, infos: Iterable[TensorInfo]) -> None:
    """Refuse the tensors, if there are any, whose dtypes a format cannot hold."""
    refused = list(infos)
    if not refused:
        return
    tensors = [f"{info.name}: {dtype_name(info.dtype)} {info.shape}" for info in refused]
    names = sorted({dtype_name(info.dtype) for info in refused})
    casts = {name: wider for name in names if (wider := _wider(name)) is not None}
    options = " ".join(f"--cast {name}={wider}" for name, wider in casts.items())
    advice = f" To store other dtypes: cast={casts!r} (on the command line {options})." if casts else ""
    raise UnsupportedDtypeError(
        listed(f"{format} cannot hold {', '.join(names)}; nothing was written.{advice} The tensors concerned:", tensors)
    )


def _wider(name: str) -> str | None:
    """A dtype that every format has and that holds all values of this one."""
    return _WIDER.get(name, "float32" if name.startswith("float") else None)
