"""From the names and layouts of one network to those of another: layer rules, matching, and the weight map."""

from ts_core.mapping._mapped import MappedTensors
from ts_core.mapping._matching import match_sources, unmatched_by
from ts_core.mapping._nouns import ERROR, GUESS, LOST, UNKNOWN_LAYER, Ambiguity, MapEntry, Unmatched
from ts_core.mapping._verb import weight_map
from ts_core.mapping._weight_map import WeightMap

__all__ = [
    "ERROR",
    "GUESS",
    "LOST",
    "UNKNOWN_LAYER",
    "Ambiguity",
    "MapEntry",
    "MappedTensors",
    "Unmatched",
    "WeightMap",
    "match_sources",
    "unmatched_by",
    "weight_map",
]
