"""The command line: ``ts``, also installed as ``ts-core`` and ``python -m ts_core``.

Each module here without a leading underscore is a command of its name, with a hyphen for an underscore: its
``command``, a few lines over a verb. Exit codes: 0 done (or equal), 1 different, 2 trouble.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from importlib import import_module

import click

from ts_core import __version__
from ts_core.errors import TsError


class _Modules(click.Group):
    """A group whose commands are the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        modules = (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
        return sorted(name.replace("_", "-") for name in modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return command


@click.group(cls=_Modules, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ts")
def cli() -> None:
    """Convert, compare and inspect neural-network weights across frameworks."""


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"ts: warning: {message}", err=True)


def main() -> None:
    """Run the command line; a warning is one line on stderr, so is an error of ours, with the exit code 2."""
    warnings.showwarning = _show_warning
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
