"""The log of the project, for plug-ins: :func:`ts_core.log.logger`."""

from ts_core.log import logger as logger
