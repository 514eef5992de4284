"""What to install for the frameworks that this project knows of, where no plug-in is there to say it."""

from __future__ import annotations

from collections.abc import Mapping

#: framework → what to do when its plug-in is absent
CURES: Mapping[str, str] = {
    "torch": 'pip install "ts-core[torch]"',
    "mindspore": 'pip install "ts-core[mindspore]"',
    "jax": "pip install ts-jax",
}

#: top-level package of a framework's classes → the framework
PACKAGES: Mapping[str, str] = {**{name: name for name in CURES}, "jaxlib": "jax", "flax": "jax"}
