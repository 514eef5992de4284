"""What is checked from the index alone, before a byte is written."""

from __future__ import annotations

from collections.abc import Iterable

from ts_core.contract.dtypes import DtypeTable, dtype_name
from ts_core.contract.nouns import CheckpointIndex, TensorInfo
from ts_core.errors import UnsupportedDtypeError
from ts_core.text import listed

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
