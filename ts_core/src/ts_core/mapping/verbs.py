"""``ts.weight_map``: from anything to anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ts_core.errors import ArgumentTypeError
from ts_core.mapping.weight_map import WeightMap
from ts_core.parameters import parameters


def weight_map(
    source: object,
    target: object = "mindspore",
    *,
    prefix: str | None = None,
    rename: Mapping[str, str] | Callable[[str], str] | None = None,
    sample_inputs: object = None,
) -> WeightMap:
    """The map from the tensors of a source to those of a target.

    Args:
        source: a network of any framework.
        target: the name of a framework, to translate names and layouts by its layer rules.
        prefix: put before every target name, with a dot between.
        rename: old prefix → new prefix of target names, or a function from a target name to the one to use.
        sample_inputs: not used when the target is the name of a framework.

    Raises:
        ArgumentError: no plug-in knows the framework.
        ArgumentTypeError: the source is not a network.
        WeightMapError: two names became one.
    """
    from ts_core.mapping.translate import translate

    if not isinstance(target, str):
        raise ArgumentTypeError("the target must be the name of a framework")
    persistent = [parameter for parameter in parameters(source) if parameter.persistent]
    return translate(persistent, target).renamed(rename, prefix)
