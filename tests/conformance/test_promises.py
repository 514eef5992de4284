"""What the tests of the suite share: how a derivative is estimated, and which classes make parameters."""

import types

import numpy as np
import pytest

from ts_core.testing import public_classes
from ts_core.testing._suite._promises import slope


@pytest.mark.parametrize("offset", [0, 1e3, 1e6, -1e7])
def test_a_large_loss_in_float32_puts_a_slope_off_by_no_more_than_is_said(offset):
    def loss(x):
        return float(np.float32(offset) + (np.float32(3) * x.astype(np.float32)).sum(dtype=np.float32))

    for position in np.ndindex(2, 3):
        numeric, rounding = slope(loss, np.linspace(-1, 1, 6).reshape(2, 3), position, 1e-2)
        assert abs(numeric - 3) <= rounding + 1e-4
        assert rounding <= 1e-4 * max(abs(offset), 10)


def test_a_bend_is_no_slope():
    numeric, _ = slope(lambda x: float(1e3 * x**3 + x**4 - x), np.array(0.0), (), 1e-2)  # two points see -0.9
    assert numeric == pytest.approx(-1)


class Base:
    pass


class Owner(Base):
    def __init__(self):
        self.weight = make_parameter(3)  # noqa: F821 - only looked at


class Plain(Base):
    pass


def test_how_parameters_are_made_is_told_in_one_way_or_several():
    module = types.SimpleNamespace(Base=Base, Owner=Owner, Plain=Plain)
    assert public_classes(module, Base) == [Owner, Plain]
    for ways in ("make_parameter(", ["make_parameter("], ("register(", "make_parameter(")):
        assert public_classes(module, Base, ways) == [Owner]
