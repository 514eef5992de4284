"""``ts inspect``: what a file holds."""

from __future__ import annotations

import math
from typing import Any

import click

from ts_core.contract.dtypes import dtype_name
from ts_core.contract.nouns import TensorInfo
from ts_core.reporting import Column, Table

_COLUMNS = (
    Column[TensorInfo]("name", lambda info: info.name, "name", align="l"),
    Column[TensorInfo]("shape", lambda info: info.shape, "shape", align="l"),
    Column[TensorInfo]("dtype", lambda info: dtype_name(info.dtype), "dtype", align="l"),
    Column[TensorInfo]("bytes", lambda info: info.nbytes, "bytes", "{:,}".format, align="r"),
)

_SECTIONS = (
    Column[Any]("section", lambda section: section.name or "-", "section", align="l"),
    Column[Any]("kind", lambda section: section.kind, "kind", align="l"),
    Column[Any]("tensors", lambda section: len(section.tensors), "tensors", "{:,}".format, align="r"),
)


@click.command(short_help="List the tensors of a checkpoint.")
@click.argument("path", metavar="FILE")
@click.option("--key", help="Which of several nested state dicts to read.")
@click.option("--verify", is_flag=True, help="Check the checksums of the file, which reads all of it.")
def command(path: str, **options: Any) -> None:
    """List what the checkpoint FILE holds: names, shapes, dtypes, sizes. The data is not read."""
    import reprlib

    from ts_core.checkpoints import open_checkpoint

    with open_checkpoint(path, **options) as checkpoint:
        infos = list(checkpoint.index.values())
        click.echo(Table(_COLUMNS, infos))
        elements = sum(math.prod(info.shape) for info in infos)
        total = sum(info.nbytes for info in infos)
        noun = "tensor" if len(infos) == 1 else "tensors"
        click.echo(f"{checkpoint.format}: {len(infos):,} {noun}, {elements:,} elements, {total:,} bytes")
        sections = getattr(checkpoint.index, "sections", ())
        if len(sections) > 1:
            click.echo(Table(_SECTIONS, sections))
        for name, value in checkpoint.metadata.items():
            click.echo(f"{name}: {reprlib.repr(value)}")
