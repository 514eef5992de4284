"""``ts settings``: what the layers of a network were told."""

from __future__ import annotations

import click

from ts_core.cli._scripts import called


@click.command(short_help="List what the layers of a network were told.")
@click.argument("function", metavar="SCRIPT:FUNCTION")
@click.option("-o", "--output", metavar="FILE.json", help="Where to write them, for ts compare-settings.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the table as CSV.")
@click.option("--quiet", is_flag=True, help="Print no table.")
def command(function: str, output: str | None, csv_file: str | None, quiet: bool) -> None:
    """List the settings of the network that FUNCTION of the file SCRIPT returns, alone or first of several.

    RUNS THE SCRIPT, in an environment with the framework of the network.
    """
    from ts_core.configuration import settings

    made = called(function)
    told = settings(made[0] if isinstance(made, tuple) and made else made)
    if output is not None:
        told.to_json(output)
    if csv_file is not None:
        told.to_csv(csv_file)
    if not quiet:
        click.echo(told)
