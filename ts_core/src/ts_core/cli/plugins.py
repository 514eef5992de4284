"""``ts plugins``: which frameworks there are."""

from __future__ import annotations

import click

from ts_core.reporting import listing


@click.command(short_help="List the plug-ins, and what is broken.")
@click.option("--check", is_flag=True, help="Try to import each framework, in a process of its own.")
@click.option("-v", "--verbose", is_flag=True, help="Show for each hook of the contract who answers, in order.")
def command(check: bool, verbose: bool) -> None:
    """List the plug-ins: frameworks, versions, file formats, and what is broken."""
    from ts_core.frameworks import check_import, registry

    infos = registry().infos
    if not infos:
        click.echo('no plug-in is installed: pip install "ts-core[torch]", "ts-core[mindspore]"')
        return
    rows = []
    for info in infos:
        problem = check_import(info) if check else info.problem
        files = ", ".join(suffix for format in info.formats for suffix in format.suffixes)
        state = "; ".join(filter(None, [problem, *info.conflicts])) or "ok"
        rows.append((info.name, info.version or "-", info.plugin, files, state))
    click.echo(listing(dict.fromkeys(("framework", "version", "plug-in", "files", "state"), "l"), rows))
    if verbose:
        hooks = [(hook, ", ".join(names) or "-") for hook, names in registry().who_answers().items()]
        click.echo(listing({"hook": "l", "answered by, in order": "l"}, hooks))
