"""``ts inspect``: what a file holds."""

from __future__ import annotations

import math
from typing import Any

import click

from ts_core.reporting import Align, listing
from ts_core.text import safe

_TENSORS: dict[str, Align] = {"name": "l", "shape": "l", "dtype": "l", "bytes": "r"}
_SECTIONS: dict[str, Align] = {"section": "l", "kind": "l", "tensors": "r"}


@click.command(short_help="List the tensors of a checkpoint.")
@click.argument("path", metavar="FILE")
@click.option("--key", help="Which part of a torch file to read: model, ema, optimizer.state.")
@click.option("--verify", is_flag=True, help="Check the checksums of the file, which reads all of it.")
def command(path: str, **options: Any) -> None:
    """List what the checkpoint FILE holds: names, shapes, dtypes, sizes. The data is not read."""
    from ts_core.checkpoints import open_checkpoint
    from ts_core.contract.dtypes import dtype_name
    from ts_core.contract.pickles import brief

    with open_checkpoint(path, **options) as checkpoint:
        infos = list(checkpoint.index.values())
        rows = [(info.name, info.shape, dtype_name(info.dtype), f"{info.nbytes:,}") for info in infos]
        click.echo(listing(_TENSORS, rows))
        elements = sum(math.prod(info.shape) for info in infos)
        total = sum(info.nbytes for info in infos)
        noun = "tensor" if len(infos) == 1 else "tensors"
        click.echo(f"{checkpoint.format}: {len(infos):,} {noun}, {elements:,} elements, {total:,} bytes")
        sections = checkpoint.index.sections
        if len(sections) > 1:
            click.echo(listing(_SECTIONS, [(s.name or "-", s.kind, f"{len(s.tensors):,}") for s in sections]))
        for name, reason in checkpoint.index.unreadable.items():
            click.echo(f"{name} has no dense array: {reason}")
        for name, value in checkpoint.metadata.items():
            click.echo(safe(f"{name}: {brief(value)}"))
