"""A network that has the weights of another one for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ts_core.contract.readers import LazyTensors
from ts_core.frameworks import load_parameters
from ts_core.mapping._weight_map import WeightMap
from ts_core.sources import NetworkTensors


@contextmanager
def holding(found: WeightMap, source: LazyTensors, target: NetworkTensors) -> Iterator[None]:
    """While it lasts, the target has the source's weights through a map, those that fit; then its own again."""
    mapped = found.apply(source)
    fitting = [name for name in mapped if name in target and mapped.info(name).shape == target.info(name).shape]
    before = {name: np.array(target[name]) for name in fitting}
    try:
        load_parameters(target.net, {name: mapped[name] for name in fitting}, strict=False)
        yield
    finally:
        load_parameters(target.net, before, strict=False)
