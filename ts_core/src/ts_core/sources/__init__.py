"""What may stand where a verb takes a source or a target: a network, a checkpoint, a mapping; names and shapes."""

from ts_core.sources._opening import (
    Indexed,
    NetworkTensors,
    Shapes,
    borrowed,
    open_options,
    open_source,
    open_target,
    require_one_model,
)

__all__ = [
    "Indexed",
    "NetworkTensors",
    "Shapes",
    "borrowed",
    "open_options",
    "open_source",
    "open_target",
    "require_one_model",
]
