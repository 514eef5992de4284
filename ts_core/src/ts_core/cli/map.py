"""``ts map``: which tensor becomes which."""

from __future__ import annotations

from pathlib import Path

import click

from ts_core.cli._options import assignment, at_most_one


@click.command(short_help="Find where each tensor belongs on the other side.")
@click.argument("source")
@click.option("--to", metavar="FRAMEWORK", help="Translate to this framework.  [default: mindspore]")
@click.option("--like", metavar="TARGET", help="Match to what this checkpoint really holds, instead.")
@click.option("--prefix", help="Put this, and a dot, before every target name.")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Exchange a prefix of target names. Repeatable.")
@click.option("--fold-biases", is_flag=True, help="With --like: biases without a place go into the batch norm behind.")
@click.option("-o", "--output", metavar="M.json", help="Where to write the map.")
@click.option("--quiet", is_flag=True, help="Print no table.")
def command(
    source: str,
    to: str | None,
    like: str | None,
    prefix: str | None,
    rename: tuple[str, ...],
    fold_biases: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Which name and layout each tensor of the checkpoint SOURCE has in another framework, or in TARGET.

    Exit code 1 when something has no partner or is ambiguous; the map is written all the same, to be completed.
    """
    from ts_core.frameworks import framework_called
    from ts_core.mapping import weight_map

    at_most_one({"--to": to, "--like": like})
    renamed = dict(assignment(option, "--rename", "old.prefix=new.prefix") for option in rename)
    target = Path(like) if like is not None else framework_called(to or "mindspore").name
    found = weight_map(source, target, prefix=prefix, rename=renamed, fold_biases=fold_biases)
    if output:
        found.save(output)
    if not quiet:
        click.echo(found)
    return 0 if found.complete else 1
