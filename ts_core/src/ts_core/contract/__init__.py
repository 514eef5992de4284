"""What a plug-in may import, and all that it may import: hooks, nouns, transforms, formats, readers, helpers.

Names that are exported here are the contract that every plug-in needs. The modules that only some need (files, zip
archives, gradients, names of saved tensors) are imported by their own names.
"""

from typing import TYPE_CHECKING

from ts_core._lazily import exported
from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.nouns import CONTRACT_VERSION, Layer, LayerRule, RawParameter
from ts_core.contract.recognition import is_class, is_instance

if TYPE_CHECKING:
    from ts_core.contract.hooks import hookimpl

__all__ = [
    "CONTRACT_VERSION",
    "FrameworkInfo",
    "Layer",
    "LayerRule",
    "RawParameter",
    "hookimpl",
    "is_class",
    "is_instance",
]

__getattr__, __dir__ = exported(__name__, {"hookimpl": "ts_core.contract.hooks"})  # pluggy is a heavy import
