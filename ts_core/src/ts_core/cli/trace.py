"""``ts trace``: run a network once and keep every call."""

from __future__ import annotations

import click

from ts_core.cli._scripts import called


@click.command(short_help="Run a network once and keep every call of every layer.")
@click.argument("function", metavar="SCRIPT:FUNCTION")
@click.option("-o", "--output", required=True, metavar="FILE", help="The trace to write, for ts locate.")
@click.option("--seed", type=int, help="For every random generator.")
@click.option("--memory", default="512MB", show_default=True, help="Of arrays that are held at a time.")
def command(function: str, output: str, seed: int | None, memory: str) -> None:
    """Run the network that FUNCTION of the file SCRIPT returns, and write its trace.

    FUNCTION returns the network and its inputs, and if gradients are wanted a loss: a function from the output to a
    scalar. RUNS THE SCRIPT, in an environment with the framework of the network.
    """
    from ts_core.running import trace

    made = called(function)
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise click.UsageError(f"{function} must return (network, inputs) or (network, inputs, loss)")
    net, inputs, *loss = made
    click.echo(repr(trace(net, inputs, output, loss=loss[0] if loss else None, seed=seed, memory=memory)))
