"""``ts.weight_map``: from anything to anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ts_core.errors import ArgumentError
from ts_core.frameworks import CURES, framework_called, plugins
from ts_core.mapping._matching import match_sources
from ts_core.mapping._translate import translate
from ts_core.mapping._weight_map import WeightMap
from ts_core.sources import borrowed, open_target


def weight_map(
    source: object,
    target: object = "mindspore",
    *,
    prefix: str | None = None,
    rename: Mapping[str, str] | Callable[[str], str] | None = None,
    sample_inputs: object = None,
    fold_biases: bool = False,
) -> WeightMap:
    """The map from the tensors of a source to those of a target.

    Args:
        source: a network of any framework, the path of a checkpoint, or a mapping of names to tensors.
        target: what the map leads to. The name of a framework: names and layouts are translated by its layer rules.
            A network, the path of a checkpoint, or a mapping of names to tensors or shapes: the source is matched to
            what the target really has.
        prefix: put before every target name, with a dot between.
        rename: old prefix → new prefix of target names, or a function from a target name to the one to use.
        sample_inputs: an input, or a tuple of inputs, that both networks can run on, as arrays. Layers are then put in
            the order in which they run, and a note of the map says how far the outputs with the mapped weights differ;
            the target keeps its own weights. Needs two networks.
        fold_biases: subtract biases that the target has no place for from the running mean of the batch norm behind
            them, which changes no output in evaluation mode; see :meth:`WeightMap.fold`. Needs a target that is
            really there.

    Returns:
        The map; what could not be matched, or was ambiguous, is listed in it.

    Raises:
        ArgumentError: no plug-in knows the framework; `sample_inputs` without two networks to run, or `fold_biases`
            without a target.
        ArgumentTypeError: source or target is none of these.
        WeightMapError: source and target have next to nothing in common; `rename` made two names one; or a bias cannot
            be folded, because no batch norm follows.
    """
    if isinstance(target, str) and target in {*CURES, *(info.name for info in plugins())}:
        if sample_inputs is not None:
            raise ArgumentError("sample_inputs needs a target network; the name of a framework cannot be run")
        if fold_biases:
            raise ArgumentError("fold_biases needs a target; from the name of a framework nobody knows what gets lost")
        with borrowed(source) as opened:
            return translate(opened, target).renamed(rename, prefix)
    if isinstance(target, str) and target.isidentifier() and not os.path.lexists(target):
        framework_called(target)  # it is none of those above: this says which there are
    with borrowed(source) as opened, open_target(target) as wanted:
        found = match_sources(opened, wanted, sample_inputs)
        return (found.fold() if fold_biases else found).renamed(rename, prefix)
