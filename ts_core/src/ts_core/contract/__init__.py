"""What a plug-in may import, and all that it may import: hooks, nouns, transforms, formats, readers, helpers.

Names that are exported here are the contract that every plug-in needs. The modules that only some need (files, zip
archives, gradients, names of saved tensors) are imported by their own names.
"""

from typing import TYPE_CHECKING

from ts_core._lazily import exported

if TYPE_CHECKING:
    from ts_core.contract.framework_info import FrameworkInfo
    from ts_core.contract.hooks import hookimpl
    from ts_core.contract.nouns import CONTRACT_VERSION, Layer, LayerRule, RawParameter
    from ts_core.contract.recognition import is_class, is_instance

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

# Imported when they are first asked for: `import ts_core` enters this room for the names of saved files alone.
__getattr__, __dir__ = exported(
    __name__,
    {
        "CONTRACT_VERSION": "ts_core.contract.nouns",
        "FrameworkInfo": "ts_core.contract.framework_info",
        "Layer": "ts_core.contract.nouns",
        "LayerRule": "ts_core.contract.nouns",
        "RawParameter": "ts_core.contract.nouns",
        "hookimpl": "ts_core.contract.hooks",
        "is_class": "ts_core.contract.recognition",
        "is_instance": "ts_core.contract.recognition",
    },
)
