"""The command line: ``ts``, also installed as ``ts-core`` and ``python -m ts_core``.

Each command is a few lines over the verb of the same name. Exit codes: 0 done (or equal), 1 different, 2 trouble.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from ts_core import __version__
from ts_core.errors import TsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ts")
def cli() -> None:
    """Convert, compare and inspect neural-network weights across frameworks."""


@cli.command(short_help="Compare two checkpoints, .npy files or folders of them.")
@click.argument("original", metavar="A")
@click.argument("target", metavar="B")
@click.option("--map", "weight_map", metavar="M.json", help="The weight map from the names of A to those of B.")
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
def compare(
    original: str,
    target: str,
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

    report = run(original, target, tolerances=dict(map(_tolerance_option, tolerance)), **options)
    if json_file is not None:
        report.to_json(json_file)
    if csv_file is not None:
        report.to_csv(csv_file)
    if not quiet and not (only_different and not report.failed):
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        click.echo(report.table(wide=wide, only_different=only_different, worst=worst, color=color), color=color)
    click.echo(report.summary)
    return 0 if report else 1


def _tolerance_option(option: str) -> tuple[str, tuple[float, float]]:
    pattern, _, limits = option.rpartition("=")
    try:
        relative, absolute = map(float, limits.split(","))
    except ValueError:
        raise click.BadParameter(f"{option!r} is not of the form *.bias=1e-3,1e-5", param_hint="--tolerance") from None
    return pattern, (relative, absolute)


@cli.command(short_help="Convert a checkpoint to another format or framework.")
@click.argument("source")
@click.argument("destination")
@click.option("--to", metavar="FRAMEWORK", help="Translate names and layouts to those of this framework.")
@click.option("--like", metavar="TARGET", help="Match names and layouts to those of this checkpoint.")
@click.option("--map", "weight_map", metavar="M.json", help="Use this weight map.")
@click.option("--format", metavar="NAME", help="Of the destination; by default what its suffix stands for.")
@click.option("--cast", multiple=True, metavar="OLD=NEW", help="Store dtype OLD as NEW: bfloat16=float32. Repeatable.")
@click.option("--max-shard-size", metavar="SIZE", help="Split into files of at most this size, such as 5GB.")
@click.option("--key", help="Which of several nested state dicts to read.")
@click.option("--strip-prefix", metavar="PREFIX", help="Take this off every name that begins so.")
@click.option("--verify", is_flag=True, help="Check the checksums of the source.")
@click.option("--trust-pickle", is_flag=True, help="Let torch unpickle the source: RUNS WHATEVER CODE IT NAMES.")
@click.option("--quiet", is_flag=True, help="Print no table.")
def convert(source: str, destination: str, like: str | None, cast: tuple[str, ...], quiet: bool, **options: Any) -> int:
    """Convert the checkpoint SOURCE to DESTINATION, whose suffix names the format.

    Exit code 1 when the file was written but something got lost: biases that the layers of TARGET have no place for.
    """
    from ts_core.conversion import convert as run

    _at_most_one({"--to": options["to"], "--like": like, "--map": options["weight_map"]})
    report = run(
        source,
        destination,
        target=like,
        cast=dict(_assignment(option, "--cast", "bfloat16=float32") for option in cast),
        **options,
    )
    if not quiet:
        click.echo(report)
        click.echo(f"Written: {destination}")
    return 0 if report else 1


def _at_most_one(given: dict[str, str | None]) -> None:
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} contradict each other: give one of them")


def _assignment(text: str, option: str, example: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form {example}", param_hint=option)
    return old, new


@cli.command("map", short_help="Find where each tensor belongs on the other side.")
@click.argument("source")
@click.option("--to", metavar="FRAMEWORK", help="Translate to this framework.  [default: mindspore]")
@click.option("--like", metavar="TARGET", help="Match to what this checkpoint really holds, instead.")
@click.option("--prefix", help="Put this, and a dot, before every target name.")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Exchange a prefix of target names. Repeatable.")
@click.option("-o", "--output", metavar="M.json", help="Where to write the map.")
@click.option("--quiet", is_flag=True, help="Print no table.")
def map_command(
    source: str,
    to: str | None,
    like: str | None,
    prefix: str | None,
    rename: tuple[str, ...],
    output: str | None,
    quiet: bool,
) -> int:
    """Which name and layout each tensor of the checkpoint SOURCE has in another framework, or in TARGET.

    Exit code 1 when something has no partner or is ambiguous; the map is written all the same, to be completed.
    """
    from ts_core.frameworks import framework_called
    from ts_core.mapping import weight_map

    _at_most_one({"--to": to, "--like": like})
    renamed = dict(_assignment(option, "--rename", "old.prefix=new.prefix") for option in rename)
    target = Path(like) if like is not None else framework_called(to or "mindspore").name
    found = weight_map(source, target, prefix=prefix, rename=renamed)
    if output:
        found.save(output)
    if not quiet:
        click.echo(found)
    return 0 if found.complete else 1


@cli.command(short_help="List the tensors of a checkpoint.")
@click.argument("path", metavar="FILE")
@click.option("--key", help="Which of several nested state dicts to read.")
@click.option("--verify", is_flag=True, help="Check the checksums of the file, which reads all of it.")
def inspect(path: str, **options: Any) -> None:
    """List what the checkpoint FILE holds: names, shapes, dtypes, sizes. The data is not read."""
    import reprlib

    from prettytable import PrettyTable

    from ts_core.checkpoints import open_checkpoint
    from ts_core.contract.dtypes import dtype_name

    with open_checkpoint(path, **options) as checkpoint:
        table = PrettyTable(["name", "shape", "dtype", "bytes"], align="l")
        table.align["bytes"] = "r"
        infos = list(checkpoint.index.values())
        table.add_rows([[info.name, info.shape, dtype_name(info.dtype), f"{info.nbytes:,}"] for info in infos])
        click.echo(table)
        elements = sum(math.prod(info.shape) for info in infos)
        total = sum(info.nbytes for info in infos)
        noun = "tensor" if len(infos) == 1 else "tensors"
        click.echo(f"{checkpoint.format}: {len(infos):,} {noun}, {elements:,} elements, {total:,} bytes")
        for name, value in checkpoint.metadata.items():
            click.echo(f"{name}: {reprlib.repr(value)}")


@cli.command(short_help="List the plug-ins, and what is broken.")
@click.option("--check", is_flag=True, help="Try to import each framework, in a process of its own.")
@click.option("-v", "--verbose", is_flag=True, help="Show for each hook of the contract who answers, in order.")
def plugins(check: bool, verbose: bool) -> None:
    """List the plug-ins: frameworks, versions, file formats, and what is broken."""
    from prettytable import PrettyTable

    from ts_core.frameworks import check_import, registry

    infos = registry().infos
    if not infos:
        click.echo('no plug-in is installed: pip install "ts-core[torch]", "ts-core[mindspore]"')
        return
    table = PrettyTable(["framework", "version", "plug-in", "files", "state"], align="l")
    for info in infos:
        problem = check_import(info) if check else info.problem
        files = ", ".join(suffix for format in info.formats for suffix in format.suffixes)
        state = "; ".join(filter(None, [problem, *info.conflicts])) or "ok"
        table.add_row([info.name, info.version or "-", info.plugin, files, state])
    click.echo(table)
    if verbose:
        hooks = PrettyTable(["hook", "answered by, in order"], align="l")
        hooks.add_rows([[hook, ", ".join(names) or "-"] for hook, names in registry().who_answers().items()])
        click.echo(hooks)


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
