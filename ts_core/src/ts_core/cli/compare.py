"""``ts compare``: equal or not, and where not."""

from __future__ import annotations

import os
import sys
from typing import Any

import click


@click.command(short_help="Compare two checkpoints, .npy files or folders of them.")
@click.argument("original", metavar="A")
@click.argument("target", metavar="B")
@click.option("--map", "weight_map", metavar="M.json", help="The weight map from the names of A to those of B.")
@click.option("--key", multiple=True, metavar="[a:|b:]KEY", help="Which part of A and B to read; of one side only.")
@click.option("--rtol", type=float, default=1e-4, show_default=True, help="Relative to B.")
@click.option("--atol", type=float, default=1e-4, show_default=True, help="Close: |A - B| <= atol + rtol * |B|.")
@click.option("--equal-nan", is_flag=True, help="Two NaN are equal.")
@click.option("--tolerance", multiple=True, metavar="PATTERN=RTOL,ATOL", help="For some names or a dtype. Repeatable.")
@click.option("--workers", type=int, help="Threads, or processes for a GB and more; by default as many as pay.")
@click.option("--only-different", is_flag=True, help="Leave out what passed.")
@click.option("--worst", type=int, metavar="N", help="Show only the N that are furthest from passing.")
@click.option("--wide", is_flag=True, help="Show every number.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the report as CSV.")
@click.option("--quiet", is_flag=True, help="Print the summary only.")
def command(
    original: str,
    target: str,
    key: tuple[str, ...],
    tolerance: tuple[str, ...],
    only_different: bool,
    worst: int | None,
    wide: bool,
    json_file: str | None,
    csv_file: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Compare two checkpoints, .npy files or folders of .npy files.

    Exit code 0 when they are equal within the tolerances, 1 when they are not, 2 when something could not be read.
    """
    from ts_core.comparison import compare as run

    for side, name in (("a", "source_options"), ("b", "target_options")):
        chosen = [part for given, part in map(_sided, key) if given in ("", side)]
        options[name] = {"key": chosen[-1]} if chosen else None
    report = run(original, target, tolerances=dict(map(_tolerance_option, tolerance)), **options)
    if json_file is not None:
        report.to_json(json_file)
    if csv_file is not None:
        report.to_csv(csv_file)
    if not quiet and not (only_different and not report.failed):
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        click.echo(report.table(wide=wide, only_different=only_different, worst=worst, color=color), color=color)
    for note in report.notes:
        click.echo(note)
    click.echo(report.summary)
    return 0 if report else 1


def _tolerance_option(option: str) -> tuple[str, tuple[float, float]]:
    pattern, _, limits = option.rpartition("=")
    try:
        relative, absolute = map(float, limits.split(","))
    except ValueError:
        raise click.BadParameter(f"{option!r} is not of the form *.bias=1e-3,1e-5", param_hint="--tolerance") from None
    return pattern, (relative, absolute)


def _sided(option: str) -> tuple[str, str]:
    """The side that an option is for, ``"a"``, ``"b"`` or neither, and what it says."""
    return (option[0], option[2:]) if option[:2] in ("a:", "b:") else ("", option)
