"""What a file format has to offer: a reader and a writer; and what the core makes of every source of tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    from ts_core.contract.nouns import CheckpointIndex, TensorInfo

    Array = np.ndarray[Any, np.dtype[Any]]


class CheckpointReader(Protocol):
    """A checkpoint file that has been opened: its index is in memory, its data is not.

    Attributes:
        format: the name of the format, that of its :class:`~ts_core.contract.formats.Format`.
        index: names, shapes and dtypes in file order, and the metadata.
    """

    format: str

    @property
    def index(self) -> CheckpointIndex:
        """An attribute will do."""

    def read(self, name: str) -> Array:
        """The tensor of this name: a read-only view of the mapped file, which may outlive the reader.

        A reader that joins slices for it may offer ``runs`` as well; see :meth:`LazyTensors.runs`. One of a format
        that holds several sections offers ``whole()``, a reader of all of them, under their full paths.
        """

    def close(self) -> None:
        """Let go of the file; views that were handed out stay valid."""


class CheckpointWriter(Protocol):
    """A checkpoint file that is being written, one tensor at a time, in the order of the index it was created with.

    Creating it checks the index first: a tensor that the format cannot hold is refused before the file exists.

    Attributes:
        dropped: names of the metadata in the index that the format cannot hold; a writer without it drops none.
    """

    def write(self, name: str, array: Array) -> None:
        """Append the elements of one tensor; its shape and dtype are those the index announced."""

    def finish(self) -> None:
        """Write what comes last and flush; the core then syncs the file and gives it its final name."""

    def close(self) -> None:
        """Close the file, finished or not. The core removes an unfinished one."""


class LazyTensors(Mapping[str, "Array"]):
    """Named tensors whose names, shapes and dtypes are known, and whose data is read when it is asked for.

    This is the shape in which every source comes to the verbs of the core: a checkpoint, a network, a mapping, and any
    of them seen through a weight map. Iteration is in the source's own order. A context manager: leaving it closes it.
    """

    @property
    @abstractmethod
    def index(self) -> CheckpointIndex:
        """Names, shapes and dtypes, in order, and the metadata; no data is read."""

    @abstractmethod
    def read(self, name: str) -> Array:
        """The tensor of a name that is in the index."""

    def runs(self, name: str) -> Sequence[Array]:
        """A tensor as vectors that follow each other in C order, where it would have to be joined to be read.

        Any other tensor is one array of its own shape.
        """
        return [self.read(name)]

    def close(self) -> None:
        """Let go of what is held open; arrays that were handed out stay valid."""

    def info(self, name: str) -> TensorInfo:
        """Shape, dtype and size of one tensor, without reading it. Raises KeyError for an unknown name."""
        return self.index[name]

    def nbytes(self, name: str) -> int:
        """The size of one tensor in bytes, roughly where that is known sooner than its shape."""
        return self.info(name).nbytes

    @property
    def travels(self) -> bool:
        """Whether it comes from files and can be pickled: it is opened again where it is unpickled.

        There, another file of the same name is a CheckpointError.
        """
        return False

    @property
    def metadata(self) -> Mapping[str, object]:
        """The entries that are no tensors: epochs, notes."""
        return self.index.metadata

    def __getitem__(self, name: str) -> Array:
        if name not in self:
            raise KeyError(name)
        return self.read(name)

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
