"""The user guide's names for small helpers: thin forms of the verbs of :mod:`ts_core`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ts_core.gradients import gradients
from ts_core.losses import loss_compare
from ts_core.parameters import load_parameters
from ts_core.randomness import fix_random
from ts_core.sources import open_source

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["fix_random", "get_pt_grads", "load_ms_weight2net", "loss_compare", "object_dump", "object_load"]

StrPath = str | os.PathLike[str]


def get_pt_grads(model: object) -> dict[str, Array | None]:
    """The gradients of a torch network after ``backward()``.

    Args:
        model: the network.

    Returns:
        ``"<parameter name>_<position>"`` → gradient, None where there is none, in definition order.

    Raises:
        ArgumentTypeError: `model` is not a network.
    """
    return {f"{name}_{position}": gradient for position, (name, gradient) in enumerate(gradients(model).items())}


def object_dump(obj: object, file: StrPath) -> None:
    """Write an object as JSON. Raises TypeError for what JSON cannot hold; the file is then not touched."""
    text = json.dumps(obj, indent=4, ensure_ascii=False)
    with open(file, "w", encoding="utf-8") as stream:  # noqa: PTH123 - `file` may be any path-like
        stream.write(text)


def object_load(file: StrPath) -> Any:
    """The object that a JSON file holds. Raises ValueError for a file that is not JSON."""
    with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - `file` may be any path-like
        return json.load(stream)


def load_ms_weight2net(model: object, file: StrPath) -> None:
    """Load a checkpoint into a network whose names it has.

    Args:
        model: the network, of any framework.
        file: a checkpoint of any format.

    Raises:
        LoadError: names are missing or unexpected, or shapes differ; the network is unchanged.
        CheckpointError: the file cannot be read.
    """
    with open_source(os.fspath(file)) as tensors:
        load_parameters(model, tensors)
