"""MindSpore's files, read and written without MindSpore."""

from ts_core.contract.formats import Format
from ts_mindspore.checkpoints._reading import SUFFIX, MindSporeReader, sniff
from ts_mindspore.checkpoints._writing import MindSporeWriter

__all__ = ["FORMATS"]

FORMATS = (Format("mindspore", (SUFFIX,), sniff, MindSporeReader, MindSporeWriter, mingled=True),)
