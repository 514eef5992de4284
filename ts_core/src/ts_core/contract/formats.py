"""A file format as data: one entry teaches the core to recognise, open and write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ts_core.errors import PluginError

if TYPE_CHECKING:
    from ts_core.contract.byte_sources import ByteSource
    from ts_core.contract.nouns import CheckpointIndex, OpenOptions
    from ts_core.contract.readers import CheckpointReader, CheckpointWriter


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of checkpoint file. It needs no framework installed.

    Attributes:
        name: as the user writes it in ``format="torch"``.
        suffixes: that stand for it, each with its dot; of several that a name ends with, the longest counts.
        sniff: whether the content of a file is of this format. It may raise a CheckpointError that says what is wrong
            with a file that can be of no other.
        open: a lazy reader; it also gets files that are only called so, and raises what is wrong with them.
        create: a streaming writer to a path; the index holds all that will be written, in order. ``None`` for a
            format that is only read.
        shardable: whether other programs read an index of shards in this format.
        nested: whether a file may hold several state dicts, of which ``key=`` chooses one.
        mingled: whether metadata stands among the tensors, where who loads the file takes it for parameters: that of
            a file of another format is then only written when it is asked for.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[ByteSource], bool]
    open: Callable[[ByteSource, OpenOptions], CheckpointReader]
    create: Callable[[Path, CheckpointIndex], CheckpointWriter] | None = None
    shardable: bool = False
    nested: bool = False
    mingled: bool = False

    def __post_init__(self) -> None:
        """Refuse what would only fail later, and far from here. Raises PluginError."""
        if not isinstance(self.name, str) or not self.name:
            raise PluginError(f"the name of a file format must be a str, not {self.name!r}")
        suffixes = self.suffixes
        if not isinstance(suffixes, tuple) or not all(isinstance(s, str) and s[:1] == "." and s[1:] for s in suffixes):
            raise PluginError(f"format {self.name}: suffixes must be a tuple such as ('.pth', '.pt'), not {suffixes!r}")
        wrong = [name for name in ("sniff", "open") if not callable(getattr(self, name))]
        if wrong or not (self.create is None or callable(self.create)):
            raise PluginError(f"format {self.name}: {', '.join(wrong) or 'create'} must be a function")
        if type(self.shardable) is not bool or type(self.nested) is not bool:
            raise PluginError(f"format {self.name}: shardable and nested must be True or False")
        if type(self.mingled) is not bool:
            raise PluginError(f"format {self.name}: mingled must be True or False")

    def suffix_of(self, path: Path) -> str:
        """The longest of its suffixes with which the name of a file ends; empty when there is none."""
        return max((s for s in self.suffixes if path.name.lower().endswith(s.lower())), key=len, default="")
