"""What a conversion leaves behind on purpose, and how its report says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ts_core.checkpoints import Checkpoint
from ts_core.contract.arrays import Array
from ts_core.contract.formats import Format
from ts_core.contract.nouns import CheckpointIndex, Section
from ts_core.contract.readers import LazyTensors

_SHOWN = 5  # names that a note lists before it counts the rest


class _WithMetadata(LazyTensors):
    """A source with other metadata."""

    def __init__(self, source: LazyTensors, metadata: Mapping[str, object]) -> None:
        self._source = source
        self._index = CheckpointIndex(source.index.tensors, metadata)

    @property
    def index(self) -> CheckpointIndex:
        """That of the source, with this metadata."""
        return self._index

    def read(self, name: str) -> Array:
        """One tensor of the source."""
        return self._source.read(name)


def without_strays(tensors: LazyTensors, format: Format, origin: str | None) -> LazyTensors:
    """The tensors, without metadata that the format would mix with them, unless the source is of this format itself.

    What no format would take for a tensor stays: whoever writes it says that it had to be dropped.
    """
    if not format.mingled or origin == format.name or not tensors.metadata:
        return tensors
    kept = {name: value for name, value in tensors.metadata.items() if not isinstance(value, str | int | float)}
    return _WithMetadata(tensors, kept)


def bare(tensors: LazyTensors) -> LazyTensors:
    """The tensors without any metadata."""
    return _WithMetadata(tensors, {})


def left_behind(
    source: LazyTensors, strays: Iterable[str] = (), why: str = "it would be taken for parameters"
) -> Iterator[str]:
    """The notes on what was not asked for: what stands beside the model in a file, and metadata.

    Args:
        source: the checkpoint.
        strays: the names of the metadata that was not written.
        why: it was not.
    """
    beside = sections_beside(source)
    if beside:
        yield f"Only a part of the file was taken. Left behind: {'; '.join(map(_words, beside))}."
    names = [name for name in strays if name not in tops_of(beside)]
    if names:
        yield f"Not written, because {why}: {_some(names)}"


def sections_beside(source: LazyTensors) -> list[Section]:
    """What a file holds beside the model, or the models, or the part that was chosen."""
    if not isinstance(source, Checkpoint) or source.key == "":
        return []
    sections = source.index.sections
    if source.sectioned:
        return [section for section in sections if section.kind != "model"]
    return [section for section in sections[1:] if section.tensors]


def tops_of(sections: Sequence[Section]) -> set[str]:
    """The names of sections at the top of a file, where its metadata has them as well."""
    return {section.name.partition(".")[0] for section in sections} - {""}


def _words(section: Section) -> str:
    if section.kind == "other":
        front = f"{section.name}." if section.name else ""
        return f"other tensors: {_some([front + name for name in section.tensors])}"
    count = len(section.tensors)
    return f"{section.kind} {section.name!r} ({count} tensor{'' if count == 1 else 's'})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
