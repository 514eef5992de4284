"""From the names and layouts of one network to those of another: layer rules, matching, and the weight map."""

from ts_core.mapping._anchors import anchors, match_parameters, owners
from ts_core.mapping._holding import holding
from ts_core.mapping._layers import LayerPair, LayerPairs, Placed, pair_layers
from ts_core.mapping._mapped import MappedTensors
from ts_core.mapping._matching import match_sources, unmatched_by
from ts_core.mapping._nouns import ERROR, GUESS, LOST, Ambiguity, MapEntry, Unmatched
from ts_core.mapping._verb import weight_map
from ts_core.mapping._weight_map import WeightMap

__all__ = [
    "ERROR",
    "GUESS",
    "LOST",
    "Ambiguity",
    "LayerPair",
    "LayerPairs",
    "MapEntry",
    "MappedTensors",
    "Placed",
    "Unmatched",
    "WeightMap",
    "anchors",
    "holding",
    "match_parameters",
    "match_sources",
    "owners",
    "pair_layers",
    "unmatched_by",
    "weight_map",
]
