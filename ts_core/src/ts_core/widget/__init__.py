"""The user guide's names for small helpers: thin forms of the verbs of :mod:`ts_core`."""

from __future__ import annotations

import json
import os
from typing import Any

from ts_core.commit import write_text
from ts_core.contract.arrays import Array
from ts_core.contract.files import path_of, read_text, reading
from ts_core.conversion import ConversionReport, transfer
from ts_core.errors import ArgumentError, ArgumentTypeError
from ts_core.frameworks import fix_random, gradients
from ts_core.widget._losses import loss_compare

__all__ = ["fix_random", "get_pt_grads", "load_ms_weight2net", "loss_compare", "object_dump", "object_load"]


def get_pt_grads(model: object) -> dict[str, Array | None]:
    """The gradients of a torch network after ``backward()``, in definition order.

    Returns:
        ``<parameter name>_<position>`` → gradient, of the parameter's shape; None where there is none.

    Raises:
        ArgumentTypeError: the object is no network that keeps gradients.
    """
    return {f"{name}_{position}": gradient for position, (name, gradient) in enumerate(gradients(model).items())}


def object_dump(obj: object, file: str | os.PathLike[str]) -> None:
    """Write an object of lists, dicts, strings and numbers as JSON; the file appears whole or not at all.

    Raises:
        ArgumentTypeError: JSON has no form for a part of the object (a TypeError).
        ArgumentError: a part of the object holds itself.
        CheckpointWriteError: the file cannot be written (an OSError).
    """
    try:
        text = json.dumps(obj, indent=2, ensure_ascii=False)
    except TypeError as problem:
        raise ArgumentTypeError(f"obj: {problem}") from problem
    except (ValueError, RecursionError) as problem:
        raise ArgumentError(f"obj: {problem}") from problem
    write_text(path_of(file, "file"), text)


def object_load(file: str | os.PathLike[str]) -> Any:
    """What :func:`object_dump` wrote. JSON knows no tuples and no keys but strings: they come back as lists and str.

    Raises:
        CheckpointNotFoundError: there is no such file (a FileNotFoundError).
        CheckpointError: it cannot be read, or is no JSON.
    """
    path = path_of(file, "file")
    with reading(path):
        return json.loads(read_text(path))


def load_ms_weight2net(model: object, file: str | os.PathLike[str]) -> ConversionReport:
    """Load the weights of a checkpoint into a network; anything that does not fit is an error.

    Raises:
        CheckpointError: the file cannot be read.
        WeightMapError: something has no place in the network, which is unchanged.
    """
    return transfer(file, model)
