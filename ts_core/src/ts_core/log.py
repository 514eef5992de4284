"""The logger ``ts_core``: silent in a library, heard by the users of the guide's functions and of the command line."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

LOGGER = logging.getLogger("ts_core")
LOGGER.addHandler(logging.NullHandler())


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]  # Python 3.10 has the type parameter in its stubs only
else:
    _StreamHandler = logging.StreamHandler


class _StderrHandler(_StreamHandler):
    """Writes to what ``sys.stderr`` is at that moment, which notebooks and test runners replace."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """The base class sets it once; there is nothing to remember."""


def user_logger() -> logging.Logger:
    """The logger ``ts_core``, for messages that a user has to see.

    It gets a handler to stderr unless the user has set up logging: a handler on this logger or on the root.
    """
    heard = [*logging.getLogger().handlers, *LOGGER.handlers]
    if all(isinstance(handler, logging.NullHandler) for handler in heard):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        LOGGER.addHandler(handler)
    return LOGGER
