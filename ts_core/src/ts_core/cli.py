"""The command line: ``ts``, also installed as ``ts-core`` and ``python -m ts_core``.

Each command is a few lines over the verb of the same name. Exit codes: 0 done (or equal), 1 different, 2 trouble.
"""

from __future__ import annotations

import sys

import click

from ts_core import __version__
from ts_core.errors import TsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ts")
def cli() -> None:
    """Convert, compare and inspect neural-network weights across frameworks."""


@cli.command()
@click.option("--check", is_flag=True, help="Try to import each framework, in a process of its own.")
def plugins(check: bool) -> None:
    """List the plug-ins: frameworks, versions, file formats, and what is broken."""
    from prettytable import PrettyTable

    from ts_core.plugins import check_import
    from ts_core.plugins import plugins as installed

    infos = installed()
    if not infos:
        click.echo('no plug-in is installed: pip install "ts-core[torch]", "ts-core[mindspore]"')
        return
    table = PrettyTable(["framework", "version", "plug-in", "files", "state"], align="l")
    for info in infos:
        problem = check_import(info) if check else info.problem
        files = ", ".join(suffix for suffixes in info.formats.values() for suffix in suffixes)
        state = "; ".join(filter(None, [problem, *info.conflicts])) or "ok"
        table.add_row([info.name, info.version or "-", info.plugin, files, state])
    click.echo(table)


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and the exit code 2."""
    try:
        code = cli.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as problem:
        problem.show()
        sys.exit(2)
    except (TsError, OSError) as problem:
        click.echo(f"ts: {problem}", err=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)
