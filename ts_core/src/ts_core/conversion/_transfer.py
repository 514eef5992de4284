"""``ts.transfer``: the weights of any source, into a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ts_core.configuration import compare_settings
from ts_core.contract.readers import LazyTensors
from ts_core.conversion import _report
from ts_core.conversion._report import ConversionReport, ConversionRow, mapped_rows
from ts_core.conversion._strictness import refusals, warn
from ts_core.errors import PluginError, TsError, WeightMapError
from ts_core.frameworks import load_parameters, parameters
from ts_core.mapping import WeightMap, match_sources, unmatched_by
from ts_core.sources import NetworkTensors, borrowed

_SHOWN = 20  # problems that an error lists before it counts the rest


def transfer(source: object, net: object, *, weight_map: object = None, strict: bool = True) -> ConversionReport:
    """Put the weights of any source into a network.

    Args:
        source: a network of any framework, the path of a checkpoint, or a mapping of names to tensors.
        net: the network to load into, of any framework; arrays are cast to the dtypes of its parameters.
        weight_map: which tensor goes where: a :class:`~ts_core.WeightMap`, the path of its JSON
            file, or the pair that ``migrator.get_weight_map`` returns; by default the source is matched to the network.
        strict: raise when a tensor of either side has no partner, when a choice was ambiguous, or when a shape
            differs; the network is then unchanged. The bias of a linear layer or convolution whose partner in the
            network was built without one gets lost with a warning, and the report is false; counters and constants
            need no partner.

    Returns:
        One row for each parameter; true when all of them arrived. Its ``network`` holds the weights: of a framework
        whose networks cannot change a new one.

    Warns:
        WeightMapWarning: biases get lost, or layers were matched by order alone.

    Raises:
        ArgumentTypeError: `source` or `weight_map` is none of these, or `net` is not a network.
        WeightMapError: strict, and something has no place; or the two have next to nothing in common.
    """
    places = {p.name: p for p in parameters(net) if p.persistent}
    with borrowed(source) as tensors, NetworkTensors(net) as wanted:
        if weight_map is None:
            found = match_sources(tensors, wanted)
        else:
            found = unmatched_by(WeightMap.of(weight_map), tensors, wanted)
        mapped = found.apply(tensors)
        wrong = {
            name: f"the network has {places[name].shape}, the map gives {info.shape}"
            for name, info in mapped.index.items()
            if name in places and info.shape != places[name].shape
        }
        problems = [*refusals(found), *(f"wrong shape: {name}: {reason}" for name, reason in wrong.items())]
        if strict and problems:
            raise WeightMapError(_summary(problems))
        warn(found)
        arrays = {name: mapped[name] for name in mapped if name in places and name not in wrong}
        result = load_parameters(net, arrays, strict=False)
        moved = mapped_rows(tensors.index, mapped, found.entries, found.unmatched_source)
        rows = [replace(row, status=_report.SHAPE_DIFFERS) if row.target in wrong else row for row in moved]
        for one in found.unmatched_target:
            words = _report.NOT_APPLICABLE if one.harmless else _report.MISSING
            rows.append(ConversionRow(None, one.name, words, None, one.shape))
        notes = (*found.notes, *_settings_note(tensors, wanted, found))
        return ConversionReport(tuple(rows), notes, network=result.network)


def _settings_note(source: LazyTensors, target: NetworkTensors, found: WeightMap) -> Iterator[str]:
    """How many settings differ, of two networks: with equal weights they make the outputs differ all the same."""
    if not isinstance(source, NetworkTensors):
        return
    try:
        report = compare_settings(source.net, target.net, weight_map=found)
    except PluginError as problem:  # the weights have arrived, whatever the layers were told
        yield f"the settings of the two networks could not be compared: {problem}"
        return
    except TsError:  # a plug-in may tell of no layers
        return
    differ = [row for row in report.failed if row.source and row.target]
    alone = sum(row.one_sided for row in report.failed)
    if differ or alone:
        words = [f"{len(differ)} settings of layers differ"] if differ else []
        words += [f"{alone} layers are on one side only, or code on the other"] if alone else []
        yield f"{'; '.join(words)}: ts.compare_settings(source, net) lists them"


def _summary(problems: list[str]) -> str:
    shown = [f"  {line}" for line in problems[:_SHOWN]]
    more = [f"  ... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "\n".join(["the weights do not fit the network, which is unchanged:", *shown, *more])
