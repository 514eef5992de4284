"""``ts convert``: from one file to another."""

from __future__ import annotations

from typing import Any

import click

from ts_core.cli._options import assignment, at_most_one
from ts_core.text import safe


@click.command(short_help="Convert a checkpoint to another format or framework.")
@click.argument("source")
@click.argument("destination")
@click.option("--to", metavar="FRAMEWORK", help="Translate names and layouts to those of this framework.")
@click.option("--like", metavar="TARGET", help="Match names and layouts to those of this checkpoint.")
@click.option("--map", "weight_map", metavar="M.json", help="Use this weight map.")
@click.option("--allow-unknown", is_flag=True, help="Write the file although --to knows none of the names.")
@click.option("--fold-biases", is_flag=True, help="With --like: biases without a place go into the batch norm behind.")
@click.option("--format", metavar="NAME", help="Of the destination; by default what its suffix stands for.")
@click.option("--cast", multiple=True, metavar="OLD=NEW", help="Store dtype OLD as NEW: bfloat16=float32. Repeatable.")
@click.option("--allow-overflow", is_flag=True, help="Elements that do not fit into a --cast are no failure.")
@click.option("--max-shard-size", metavar="SIZE", help="Split into files of at most this size, such as 5GB.")
@click.option("--key", help="Which part of a torch file to read: model, ema, optimizer.state.")
@click.option("--strip-prefix", metavar="PREFIX", help="Take this off every name that begins so.")
@click.option("--verify", is_flag=True, help="Check the checksums of the source.")
@click.option("--trust-pickle", is_flag=True, help="Let torch unpickle the source: RUNS WHATEVER CODE IT NAMES.")
@click.option("--quiet", is_flag=True, help="Print no table.")
def command(source: str, destination: str, like: str | None, cast: tuple[str, ...], quiet: bool, **options: Any) -> int:
    """Convert the checkpoint SOURCE to DESTINATION, whose suffix names the format.

    Exit code 1 when the file was written but something got lost: biases that the layers of TARGET have no place for,
    elements that do not fit into the dtype of a --cast.
    """
    from ts_core.conversion import convert as run

    at_most_one({"--to": options["to"], "--like": like, "--map": options["weight_map"]})
    report = run(
        source,
        destination,
        target=like,
        cast=dict(assignment(option, "--cast", "bfloat16=float32") for option in cast),
        **options,
    )
    if not quiet:
        click.echo(report)
        click.echo(safe(f"Written: {destination}"))
    return 0 if report else 1
