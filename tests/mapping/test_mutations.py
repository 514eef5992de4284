"""Random networks, changed as people change them when they port a network, must still be mapped right."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("mindspore")

sys.path.insert(0, str(Path(__file__).parent))
from drawn_networks import outcome

# `make mutations` takes a thousand of them.
NETWORKS = int(os.environ.get("TS_NETWORKS", "200"))


def test_networks_that_were_renamed_renested_reordered_fused_and_pruned_are_mapped_right():
    results = [outcome(seed) for seed in range(NETWORKS)]
    overconfident = [line for _, lines in results for line in lines]
    assert not overconfident, overconfident
    failed = [seed for seed, (right, _) in enumerate(results) if not right]
    assert len(failed) <= NETWORKS * 0.02, f"{len(failed)} of {NETWORKS} wrong: {failed}"
