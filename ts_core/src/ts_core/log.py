"""The logger ``ts_core``: silent in a library, heard by the users of the guide's functions and of the command line.

What is filled into a message is safe to show: see :mod:`ts_core.text`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from numbers import Number
from typing import TYPE_CHECKING, TextIO

from ts_core.text import safe

_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


def _make_safe(record: logging.LogRecord) -> bool:
    """Make safe what a record tells: its arguments, as the message that they are filled into is ours."""
    if isinstance(record.args, tuple) and record.args:
        record.args = tuple(value if isinstance(value, Number) else safe(value) for value in record.args)
    elif isinstance(record.args, Mapping):
        record.args = {key: value if isinstance(value, Number) else safe(value) for key, value in record.args.items()}
    else:
        record.msg = safe(record.msg)
    return True


def logger(name: str = "ts_core") -> logging.Logger:
    """The logger of this name, ``"ts_core"`` or one below it, which makes safe what it is told."""
    found = logging.getLogger(name)
    if _make_safe not in found.filters:
        found.addFilter(_make_safe)
    return found


LOGGER = logger()
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
