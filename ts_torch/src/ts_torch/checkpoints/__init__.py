"""torch's files, read and written without torch."""

from ts_core.contract.formats import Format
from ts_torch.checkpoints._reading import open_file, sniff
from ts_torch.checkpoints._writing import TorchWriter

__all__ = ["FORMATS"]

FORMATS = (Format("torch", (".pth", ".pt", ".bin"), sniff, open_file, TorchWriter, shardable=True, nested=True),)
