"""Log lines for Cloud Logging (R35), without its client, which costs 2.4 times a bare cold start (measured).

A line on standard output is JSON with Cloud Logging's reserved fields: severity, trace, span, labels, source location.
`common.config.logging_config` (R67) writes them; whoever uses ``logging`` already has everything.
"""

from __future__ import annotations

import logging
from typing import Any

from common.config import logging_config
from common.errors import InvalidInput

log = logging.getLogger("raptorflow")


class CloudLogging:
    """Logging with fields.

    Example:
        >>> CloudLogging().configure_logging()
        >>> CloudLogging().log_with_context("WARNING", "the budget is nearly used", workspace_id=ws, percentage=92)
    """

    def configure_logging(self) -> None:
        """Send all log records to standard output, once per process; ``serve`` does so for functions."""
        logging_config.configure_logging()

    def log_with_context(self, level: str | int, message: str, **context: Any) -> None:
        """Write one line with fields of its own; those called like a secret or a person are redacted.

        Args:
            level: ``"INFO"``, or logging's number for it.
            message: a sentence; never what somebody sent.
            **context: the fields.

        Raises:
            InvalidInput: there is no such level.
        """
        number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
        if number is None:
            raise InvalidInput(f"no level is called {level}: use DEBUG, INFO, WARNING, ERROR or CRITICAL")
        log.log(number, "%s", message, extra={"fields": context}, stacklevel=2)
