"""The losses that two training logs tell, side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.commit import make_folder, replacing
from ts_core.contract.files import reading
from ts_core.errors import ArgumentError, ArgumentTypeError, FrameworkMissingError
from ts_core.log import user_logger
from ts_core.reporting import csv_text, write_text

Losses = np.ndarray[Any, np.dtype[np.float64]]

_KEYS = ("path", "loss_tag", "label")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:[-+]?\b(?:nan|inf)\b)")
_FOLDER = Path("loss_compare")


def loss_compare(
    left_file: Mapping[str, Any], right_file: Mapping[str, Any], title: str = "Loss Compare"
) -> dict[str, float]:
    """Compare the losses that two training logs tell, step by step.

    A loss is the first number (or ``nan``, ``inf``) after the tag in a line; lines without one are passed over. Where
    one log is longer, its first steps are compared. Written into the folder ``loss_compare`` of the working directory:
    ``loss_compare.png`` (both curves), ``error.png`` (left − right), ``<label>.csv`` (the losses of each file) and
    ``statistic.csv`` (maximum, minimum and mean of each, the errors below).

    Args:
        left_file: ``path`` of the log, ``loss_tag`` before the number, ``label`` of the curve.
        right_file: the same for the other log; relative errors are relative to its losses.
        title: of the picture.

    Returns:
        The maximal absolute error, max |left − right|, and the maximal relative error, max |left − right| ÷ |right|.

    Raises:
        FrameworkMissingError: matplotlib is not installed.
        ArgumentTypeError: a file is not a dict of str.
        ArgumentError: a key is missing, a file is not there or holds no loss, or the labels are equal.
    """
    try:
        from matplotlib import figure as figures
    except ImportError as problem:
        raise FrameworkMissingError('loss_compare needs matplotlib: pip install "ts-core[plot]"') from problem
    files = {"left_file": left_file, "right_file": right_file}
    for parameter, file in files.items():
        _check(parameter, file)
    labels = [str(file["label"]) for file in files.values()]
    names = [re.sub(r"[^\w.-]+", "_", label) for label in labels]
    if names[0] == names[1]:
        raise ArgumentError(f"left_file and right_file need different labels, both are {labels[0]!r}")
    losses = [_losses(parameter, file) for parameter, file in files.items()]
    steps = min(map(len, losses))
    if len(losses[0]) != len(losses[1]):
        counts = ", ".join(f"{label}: {len(found)}" for label, found in zip(labels, losses, strict=True))
        user_logger().warning("[*User Warning*] The logs hold different numbers of losses (%s).", counts)
    errors = losses[0][:steps] - losses[1][:steps]
    worst = {
        "max absolute error": float(np.abs(errors).max()),
        "max relative error": _relative(errors, losses[1][:steps]),
    }

    make_folder(_FOLDER)
    for name, found in zip(names, losses, strict=True):
        _write_csv(f"{name}.csv", [("step", "loss"), *enumerate(found.tolist())])
    statistics = [(label, found.max(), found.min(), found.mean()) for label, found in zip(labels, losses, strict=True)]
    _write_csv("statistic.csv", [("file", "max", "min", "mean"), *statistics, *((k, v) for k, v in worst.items())])
    _draw(figures, "loss_compare.png", title, dict(zip(labels, losses, strict=True)))
    _draw(figures, "error.png", title, {f"{labels[0]} − {labels[1]}": errors})
    return worst


def _check(parameter: str, file: object) -> None:
    if not isinstance(file, Mapping):
        raise ArgumentTypeError(f"{parameter} must be a dict, not {type(file).__name__}")
    for key in _KEYS:
        if key not in file:
            raise ArgumentError(f"{parameter} lacks the key {key!r}")
        if not isinstance(file[key], str | os.PathLike):
            raise ArgumentTypeError(f"{parameter}[{key!r}] must be a str, not {type(file[key]).__name__}")


def _losses(parameter: str, file: Mapping[str, Any]) -> Losses:
    tag, path = str(file["loss_tag"]), Path(file["path"])
    if not os.path.isfile(path):  # noqa: PTH113 - it does not fail
        raise ArgumentError(f"{parameter}: there is no file {path}")
    found, silent = [], 0
    with reading(path), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            _, tagged, rest = line.partition(tag)
            number = _NUMBER.search(rest)
            if number:
                found.append(float(number.group()))
            elif tagged:
                silent += 1
    if silent:
        user_logger().warning("[*User Warning*] %s: %d lines have no number after %r.", path, silent, tag)
    if not found:
        raise ArgumentError(f"{parameter}: no line of {path} has a number after {tag!r}")
    return np.array(found)


def _relative(errors: Losses, reference: Losses) -> float:
    """Max |error| ÷ |reference|; 0 where both are 0, infinite where only the reference is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(errors == 0, 0.0, np.abs(errors) / np.abs(reference)).max())


def _write_csv(name: str, rows: Iterable[tuple[object, ...]]) -> None:
    header, *others = rows
    write_text(_FOLDER / name, csv_text(map(str, header), others))


def _draw(figures: Any, name: str, title: str, curves: Mapping[str, Losses]) -> None:
    figure = figures.Figure(figsize=(10, 6))  # without pyplot, which would choose a window system
    axes = figure.subplots()
    for label, values in curves.items():
        axes.plot(values, label=label)
    axes.set(title=title, xlabel="step", ylabel="loss")
    axes.legend()
    with replacing(_FOLDER / name) as (temporary,):
        figure.savefig(temporary, format="png")
