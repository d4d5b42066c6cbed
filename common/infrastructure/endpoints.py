"""The only reader of emulator addresses: business code never asks where it runs."""

from __future__ import annotations

import os

from common.errors import Misconfigured


def emulator(variable: str) -> str | None:
    """The ``host:port`` that replaces a Google service, or None for the service itself.

    Raises:
        Misconfigured: one is set on a deployed function, which would send customers' data to nobody knows where.

    Example:
        >>> emulator("PUBSUB_EMULATOR_HOST")
        '127.0.0.1:8085'
    """
    host = os.environ.get(variable)
    if host and os.environ.get("K_SERVICE"):
        raise Misconfigured(f"{variable} must not be set on a deployed function")
    return host or None
