"""The only reader of emulator addresses: business code never asks where it runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from common.errors import Misconfigured

if TYPE_CHECKING:
    import grpc.aio


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


def emulator_channel(variable: str) -> grpc.aio.Channel | None:
    """A gRPC channel to the service that ``variable`` names, or None for Google's own; see `emulator`."""
    import grpc.aio  # noqa: PLC0415 - at the first call of a client

    host = emulator(variable)
    return grpc.aio.insecure_channel(host) if host else None
