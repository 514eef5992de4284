"""``ts.locate``: the first place where two networks part, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ts_core.errors import ArgumentError
from ts_core.location._report import LocateReport
from ts_core.location._search import Search
from ts_core.location._sides import losses, recorded, side
from ts_core.location._telling import mirrored, mirrored_row
from ts_core.mapping import WeightMap
from ts_core.running import Inputs, Recorder, Store, Trace, as_bytes, seeded

Loss = Callable[[Any], Any]


def locate(
    source: object,
    target: object,
    inputs: object = None,
    *,
    loss: tuple[Loss, Loss] | Loss | None = None,
    weight_map: object = None,
    tolerance: str | tuple[float, float] = "measured",
    memory: int | str = "512MB",
    seed: int | None = None,
) -> LocateReport:
    """Find every place where two networks of any frameworks part although they get the same inputs.

    Both run in the modes in which their layers are, without compilers, and are left as they were.

    Args:
        source: the network that is right, or a trace of it (:func:`ts_core.trace`), or the path of one.
        target: the network to be checked, or a trace of it. Of two traces only the first place is found.
        inputs: what both run on: an array or tensor, a tuple or list of them, a dict of keyword arguments. A trace
            brings its own. ``ts.Inputs(source=…, target=…)`` where the two need different ones.
        loss: two functions, of the source and of the target, each from what its network returns to a scalar; the
            backward pass is searched as well then. One function where the other side is a trace with gradients.
        weight_map: which parameters belong together, as :func:`ts_core.weight_map` makes it; made when not given.
        tolerance: ``"measured"``: differences count that noise, measured for each layer, does not explain; or a pair of
            a relative and an absolute tolerance.
        memory: bytes of arrays that are held, a number or ``"512MB"``; more of them lie in a temporary file.
        seed: for every random generator.

    Returns:
        The report: true when nothing parts beyond noise.

    Raises:
        ArgumentError: an argument has a value that does not work; there are no inputs; a loss is no scalar.
        ArgumentTypeError: source or target is neither a network nor a trace.
        CheckpointError: a path leads to no trace, or to a damaged one.
        ComparisonError: the two have nothing in common that could be compared.
        WeightMapError: the two do not belong together.
        RunError: a network raised; the message names the layer.
    """
    allowed = _tolerance(tolerance)
    held = as_bytes(memory)
    nets = [side(each, name) for each, name in ((source, "source"), (target, "target"))]
    functions = losses(loss, nets)
    weights = None if weight_map is None else WeightMap.of(weight_map)
    given = (
        (inputs.source, inputs.target) if isinstance(inputs, Inputs) else (inputs, None)
    )  # None: those of the source
    exchanged = isinstance(nets[1], Trace) and not isinstance(nets[0], Trace)
    if exchanged:
        nets, functions, given = nets[::-1], functions[::-1], given[::-1]
        weights = None if weights is None else weights.inverse()
    store = Store(held)
    try:
        with seeded(seed) as begin:
            run = nets[0] if isinstance(nets[0], Trace) else _run(nets[0], given[0], functions[0], store, begin, seed)
            search = Search(nets[0], nets[1], run, given[1], functions, weights, allowed, held, store, begin, seed)
            report = search.report()
    finally:
        store.close()
    if not exchanged:
        return report
    findings, rows = map(mirrored, report.findings), map(mirrored_row, report.rows)
    return LocateReport(tuple(findings), tuple(rows), report.notes)


def _run(
    net: object, inputs: object, loss: Loss | None, store: Store, begin: Callable[[object], None], seed: int | None
) -> Trace:
    """The run of a network. Raises ArgumentError without inputs."""
    if inputs is None:
        raise ArgumentError("inputs: two networks need something to run on; only a trace brings its own inputs")
    recorder = Recorder(net, store)
    recorded(net, inputs, recorder, loss, begin)
    return recorder.trace(seed)


def _tolerance(given: object) -> tuple[float, float] | None:
    if given == "measured":
        return None
    if isinstance(given, tuple | list) and len(given) == 2:
        numbers = [float(x) for x in given if isinstance(x, int | float) and x >= 0]
        if len(numbers) == 2:
            return numbers[0], numbers[1]
    raise ArgumentError(f'tolerance={given!r}: give "measured", or a pair (rtol, atol) of numbers, none below zero')
