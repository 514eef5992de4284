"""``ts locate``: where two networks part."""

from __future__ import annotations

import os
from typing import Any

import click

from ts_core.cli._scripts import called


@click.command(short_help="Find the first place where two networks part, and why.")
@click.argument("source", metavar="A")
@click.argument("target", metavar="B")
@click.option("--map", "weight_map", metavar="M.json", help="The weight map from the names of A to those of B.")
@click.option("--rtol", type=float, help="A tolerance relative to A, in place of measured noise.")
@click.option("--atol", type=float, help="An absolute tolerance, in place of measured noise.")
@click.option("--memory", default="512MB", show_default=True, help="Of arrays that are held at a time.")
@click.option("--seed", type=int, help="For every random generator.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the pairs of calls as CSV.")
@click.option("--rows", is_flag=True, help="Show every pair of calls as well.")
def command(
    source: str,
    target: str,
    weight_map: str | None,
    rtol: float | None,
    atol: float | None,
    json_file: str | None,
    csv_file: str | None,
    rows: bool,
    **options: Any,
) -> int:
    """Find the places where B does something else than A.

    Each is a trace that ts trace wrote, or SCRIPT:FUNCTION, which RUNS THE SCRIPT; the function returns the network and
    its inputs, and if the backward pass is wanted a loss. Exit code 0 when nothing parts beyond noise, 1 when something
    does, 2 when something could not be read or run.
    """
    from ts_core.location import locate

    sides = [_side(given) for given in (source, target)]
    inputs = next((side[1] for side in sides if side[1] is not None), None)
    functions = [side[2] for side in sides]
    live = [function for function in functions if function is not None]
    loss = None if not live else tuple(functions) if len(live) == 2 else live[0]
    tolerance = "measured" if rtol is None and atol is None else (rtol or 0.0, atol or 0.0)
    report = locate(sides[0][0], sides[1][0], inputs, loss=loss, weight_map=weight_map, tolerance=tolerance, **options)
    if json_file is not None:
        report.to_json(json_file)
    if csv_file is not None:
        report.to_csv(csv_file)
    if rows:
        click.echo(report.table())
    click.echo(report)
    return 0 if report else 1


def _side(given: str) -> tuple[Any, Any, Any]:
    """A trace, or a network with its inputs and its loss."""
    if os.path.lexists(given) or ":" not in given:
        return given, None, None
    made = called(given)
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise click.UsageError(f"{given} must return (network, inputs) or (network, inputs, loss)")
    return made[0], made[1], made[2] if len(made) == 3 else None
