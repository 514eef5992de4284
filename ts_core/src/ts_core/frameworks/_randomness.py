"""The same random numbers in every run."""

from __future__ import annotations

import os
import random

import numpy as np

from ts_core.errors import ArgumentError, ArgumentTypeError


def fix_random(seed: int = 16) -> None:
    """Seed Python, NumPy and every framework that is already imported, and make the frameworks deterministic.

    A framework that is imported later is not touched: import first, then call this. The environment variable
    ``PYTHONHASHSEED`` is set for the processes that this one starts; this one's own hashes were seeded at its start.

    Args:
        seed: 0 <= seed < 2**32, the range of NumPy's seeds.

    Raises:
        ArgumentTypeError: the seed is no integer.
        ArgumentError: it is out of range.
    """
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ArgumentTypeError(f"seed must be an int, not {type(seed).__name__}")
    if not 0 <= seed < 2**32:
        raise ArgumentError(f"seed must be at least 0 and less than 2**32, not {seed}")
    os.environ["PYTHONHASHSEED"] = str(seed)
    seed_generators(seed, deterministic=True)


def seed_generators(seed: int, deterministic: bool = False, net: object = None) -> None:
    """Seed Python, NumPy and every framework that is imported, or that of a network alone; see :func:`fix_random`."""
    from ts_core.frameworks._registry import registry

    random.seed(seed)
    np.random.seed(seed)
    if net is None:
        registry().all("seed", seed=seed, deterministic=deterministic)
    else:
        plugin, _ = registry().first_with_plugin("iter_layers", net, net=net)
        registry().ask(plugin, "seed", seed=seed, deterministic=deterministic)
