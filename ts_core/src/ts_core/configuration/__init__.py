"""What layers were told: the settings of one network, kept in a file, and those of two networks side by side.

Nothing is run unless sample inputs are given. Values are compared in the meaning of
:data:`~ts_core.contract.layers.KINDS`; which layer is which is said by :mod:`ts_core.mapping`.
"""

from ts_core.configuration._description import NetworkSettings, SettingRow, settings
from ts_core.configuration._meaning import INFERENCE, SOME_SIZES, TRAINING, Difference, differences, shown
from ts_core.configuration._pairs import Paired, paired
from ts_core.configuration._report import SettingDifference, SettingsReport
from ts_core.configuration._verb import compare_settings

__all__ = [
    "INFERENCE",
    "SOME_SIZES",
    "TRAINING",
    "Difference",
    "NetworkSettings",
    "Paired",
    "SettingDifference",
    "SettingRow",
    "SettingsReport",
    "compare_settings",
    "differences",
    "paired",
    "settings",
    "shown",
]
