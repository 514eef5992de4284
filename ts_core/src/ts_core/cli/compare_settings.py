"""``ts compare-settings``: what two networks were told, side by side."""

from __future__ import annotations

import click


@click.command(short_help="Compare what the layers of two networks were told.")
@click.argument("source", metavar="A.json")
@click.argument("target", metavar="B.json")
@click.option("--map", "weight_map", metavar="M.json", help="The weight map from the names of A to those of B.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the report as CSV.")
@click.option("--quiet", is_flag=True, help="Print the summary only.")
def command(
    source: str, target: str, weight_map: str | None, json_file: str | None, csv_file: str | None, quiet: bool
) -> int:
    """Compare two files of settings, which `ts settings` and ts.settings(net).to_json write. No framework is needed.

    Exit code 0 when they mean the same, 1 when they do not, 2 when something could not be read.
    """
    from ts_core.configuration import compare_settings

    report = compare_settings(source, target, weight_map=weight_map)
    if json_file is not None:
        report.to_json(json_file)
    if csv_file is not None:
        report.to_csv(csv_file)
    click.echo(report.summary if quiet else report)
    return 0 if report else 1
