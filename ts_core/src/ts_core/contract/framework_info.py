"""What a plug-in says of its framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ts_core.contract.nouns import CONTRACT_VERSION

if TYPE_CHECKING:
    from ts_core.contract.formats import Format


#: What the metadata of a safetensors file says when nobody knows better: Hugging Face's transformers loads none that
#: says nothing. So it tells nothing of who wrote the names in the file.
DEFAULT_TAG = "pt"


@dataclass(frozen=True, slots=True)
class FrameworkInfo:
    """What a plug-in says of its framework, completed by the core with what it finds in the metadata.

    The plug-in fills in everything up to ``contract``; the core fills in the rest.

    Attributes:
        name: the framework, ``"torch"``, as the user names it in ``to="torch"``.
        distribution: the framework's distribution on the package index.
        classes: public names of the classes that the plug-in claims.
        formats: the file formats that it reads or writes, each a :class:`~ts_core.contract.formats.Format`.
        title: what tables call the framework, ``"MindSpore"``; its name when empty.
        cure: what to do when the framework is missing, ``pip install "ts-core[torch]"``.
        file_name: (path of a layer, name of a parameter inside it) → name in files, where that is not both joined by a
            dot: ``lambda layer, local: f"{layer}/{local}:0"``. Of the network itself the path is ``""``.
        tags: the values of ``format`` in the metadata of a safetensors file that mean this framework, ``("ms",)``; of
            :data:`DEFAULT_TAG` nobody can tell what it means.
        shares: the names of frameworks whose tensors are also its own, ``("jax",)``: claims of both are no conflict.
        contract: the version of the contract that the plug-in was written for (:data:`CONTRACT_VERSION` at that time).
        version: the framework's version from its metadata, ``None`` when it is not installed.
        plugin: the plug-in's distribution and version, ``"ts-torch 0.1.0"``.
        problem: why the plug-in, or the framework, cannot be used; ``None`` when nothing is wrong.
        conflicts: claims that another plug-in has made before.
    """

    name: str
    distribution: str
    classes: tuple[str, ...] = ()
    formats: tuple[Format, ...] = ()
    title: str = ""
    cure: str = ""
    file_name: Callable[[str, str], str] | None = None
    tags: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    contract: int = CONTRACT_VERSION
    version: str | None = None
    plugin: str = ""
    problem: str | None = None
    conflicts: tuple[str, ...] = ()
