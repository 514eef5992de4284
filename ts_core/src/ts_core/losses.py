"""Two training logs side by side: the losses they name, as curves and figures."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.errors import ArgumentError, ArgumentTypeError, FrameworkMissingError

FOLDER = "loss_compare"
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan\b|inf(?:inity)?\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one training log.

    Attributes:
        label: what the curve is called.
        values: one for each line that names a loss, in the order of the file.
    """

    label: str
    values: tuple[float, ...]


def loss_compare(
    left_file: Mapping[str, str | os.PathLike[str]],
    right_file: Mapping[str, str | os.PathLike[str]],
    title: str = "Loss Compare",
) -> None:
    """Compare the losses of two training logs.

    Writes into ``./loss_compare/``: ``loss_compare.png`` (both curves), ``error.png`` (left − right), a CSV of losses
    for each log, and ``statistic.csv`` (maximum, minimum and mean of each; the largest absolute error, and the largest
    relative to the right one). Logs of different length are compared over the steps that both have.

    Args:
        left_file: ``path`` of the log; ``loss_tag``, the text that stands before a loss in a line; and ``label``, the
            name of the curve. The loss is the first number after the tag; lines without one are passed over.
        right_file: the same for the other log.
        title: of the pictures.

    Raises:
        ArgumentTypeError: an argument is not a dict.
        ArgumentError: a key is missing, or a log has no loss.
        FileNotFoundError: there is no such log.
        FrameworkMissingError: matplotlib is not installed.
    """
    left, right = _read(left_file, "left_file"), _read(right_file, "right_file")
    figure = _pyplot()
    folder = Path(FOLDER)
    folder.mkdir(exist_ok=True)
    differences = [a - b for a, b in zip(left.values, right.values, strict=False)]
    _plot(figure, folder / "loss_compare.png", title, [left, right])
    _plot(figure, folder / "error.png", f"{title}: {left.label} - {right.label}", [Losses("error", tuple(differences))])
    for side, losses in (("left", left), ("right", right)):
        name = losses.label if left.label != right.label else f"{losses.label}_{side}"
        rows = enumerate(losses.values)
        _write_csv(folder / f"{_file_name(name)}.csv", ["step", "loss"], rows)
    _write_csv(folder / "statistic.csv", ["figure", left.label, right.label], _statistics(left, right, differences))


def _read(log: Mapping[str, Any], parameter: str) -> Losses:
    if not isinstance(log, Mapping):
        raise ArgumentTypeError(f"{parameter} must be a dict with path, loss_tag and label, not {type(log).__name__}")
    missing = [key for key in ("path", "loss_tag", "label") if key not in log]
    if missing:
        raise ArgumentError(f"{parameter} lacks {', '.join(missing)}; it needs path, loss_tag and label")
    path, tag = Path(log["path"]), str(log["loss_tag"])
    values = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            _, found, rest = line.partition(tag)
            number = _NUMBER.search(rest) if found else None
            if number:
                values.append(float(number[0]))
    if not values:
        raise ArgumentError(f"{parameter}: no line of {path} has a number after {tag!r}")
    return Losses(str(log["label"]), tuple(values))


def _statistics(left: Losses, right: Losses, differences: Sequence[float]) -> list[list[object]]:
    """Rows of a name and a value for each log; a NaN among the losses makes every figure NaN that it enters."""
    a, b, error = np.array(left.values), np.array(right.values), np.abs(differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(error == 0, 0.0, error / np.abs(b[: error.size]))
    return [
        ["steps", a.size, b.size],
        ["max", float(a.max()), float(b.max())],
        ["min", float(a.min()), float(b.min())],
        ["mean", float(a.mean()), float(b.mean())],
        ["max absolute error", float(error.max()), ""],
        ["max relative error", float(relative.max()), ""],
    ]


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.-]+", "_", label) or "loss"


def _pyplot() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise FrameworkMissingError('loss_compare draws with matplotlib: pip install "ts-core[plot]"') from problem
    return Figure


def _plot(figure: Any, path: Path, title: str, curves: Iterable[Losses]) -> None:
    canvas = figure(figsize=(8, 5), layout="constrained")
    axes = canvas.add_subplot()
    for curve in curves:
        axes.plot(curve.values, label=curve.label)
    axes.set(title=title, xlabel="step", ylabel="loss")
    axes.legend()
    canvas.savefig(path)
