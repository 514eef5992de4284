"""ts.settings and ts.compare_settings on Flax networks, by the contract alone."""

from flax import nnx

import ts_core as ts

RNGS = nnx.Rngs(0)


class Blocks(nnx.Module):
    """The same layers under names that the caller gives."""

    def __init__(self, epsilon: float, rate: float, names: str) -> None:
        conv, norm, drop, linear = names.split()
        setattr(self, conv, nnx.Conv(4, 6, (3, 3), padding=1, rngs=RNGS))
        setattr(self, norm, nnx.BatchNorm(6, momentum=0.9, epsilon=epsilon, rngs=RNGS))
        setattr(self, drop, nnx.Dropout(rate, rngs=RNGS))
        setattr(self, linear, nnx.Linear(6, 5, rngs=RNGS))


def test_two_networks_are_compared_and_so_are_their_files(tmp_path):
    one, other = Blocks(1e-5, 0.1, "conv norm drop fc"), Blocks(1e-3, 0.3, "stem bn dropout head")
    report = ts.compare_settings(one, other)
    assert {(row.source, row.target, row.setting, row.when) for row in report.failed} == {
        ("norm", "bn", "eps", "inference"),
        ("drop", "dropout", "p", "training only"),
    }
    ts.settings(one).to_json(tmp_path / "a.json")
    ts.settings(other).to_json(tmp_path / "b.json")
    assert ts.compare_settings(tmp_path / "a.json", tmp_path / "b.json").to_records() == report.to_records()


def test_the_mode_is_that_of_the_layers_that_have_one():
    one, other = (Blocks(1e-5, 0.1, "conv norm drop fc") for _ in range(2))
    assert ts.compare_settings(one, other)
    other.eval()
    assert {(row.target, row.setting) for row in ts.compare_settings(one, other).failed} == {
        ("norm", "training"),
        ("drop", "training"),
    }
    one.eval()
    assert ts.compare_settings(one, other)
