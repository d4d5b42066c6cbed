"""The only reader of emulator addresses: business code never asks where it runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from common.errors import Misconfigured
from common.infrastructure.errors import translate

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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


def open_client(client: Callable[..., T], transport: Callable[..., Any], variable: str) -> T:
    """A generated asynchronous client, of the service that ``variable`` names or else of Google's own.

    Args:
        client: its class.
        transport: the class of its transport over asynchronous gRPC.
        variable: see `emulator`.

    Raises:
        Misconfigured: see `emulator`; or there are no credentials for Google's own.
        Unavailable: there is no token for it now.

    Example:
        >>> client = open_client(PublisherAsyncClient, PublisherGrpcAsyncIOTransport, "PUBSUB_EMULATOR_HOST")
    """
    import grpc.aio  # noqa: PLC0415 - at the first call of a client
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    host = emulator(variable)
    try:
        return client(transport=transport(channel=grpc.aio.insecure_channel(host)) if host else None)
    except GoogleAuthError as error:
        raise translate(error, f"opening {getattr(client, '__name__', 'a client')}") from error
