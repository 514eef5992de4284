"""Moving weights: from file to file, into a network, into a new checkpoint; and the report of what became of each."""

from ts_core.conversion._convert import convert, save_checkpoint
from ts_core.conversion._left import bare, left_behind
from ts_core.conversion._report import ConversionReport, mapped_rows
from ts_core.conversion._transfer import transfer

__all__ = ["ConversionReport", "bare", "convert", "left_behind", "mapped_rows", "save_checkpoint", "transfer"]
