"""Start and stop a local Pub/Sub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from tools.local.pubsub import publisher, subscriber
from tools.local.pubsub.push import Pusher
from tools.local.pubsub.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),  # what is too big is refused in the service's own words
    ("grpc.so_reuseport", 0),  # a second server on a port must fail, not take half of the calls
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running local Pub/Sub.

    Attributes:
        host: the address it listens on.
        port: its port, also where 0 was asked for.
        state: what it holds; ``state.topics`` and ``state.subscriptions`` are for looking.
    """

    host: str
    port: int
    state: State
    _grpc: grpc.aio.Server
    _pusher: Pusher

    async def stop(self) -> None:
        """End streams, pulls and pushes, free the port and forget everything."""
        await self._grpc.stop(grace=None)
        await self._pusher.aclose()


async def start(port: int, *, sign: Callable[[str, str], str], host: str = "127.0.0.1") -> Server:
    """Serve ``google.pubsub.v1`` without TLS, as the client libraries expect at ``PUBSUB_EMULATOR_HOST``.

    Args:
        port: the port, 0 for a free one.
        sign: makes the OIDC token of a push: e-mail of the service account, audience -> token.
        host: the address to listen on.

    Raises:
        RuntimeError: the port is taken.

    Example:
        >>> server = await start(0, sign=lambda email, audience: "token")
        >>> os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{server.port}"
        >>> await server.stop()
    """
    state = State()
    pusher = Pusher(sign)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((publisher.handler(state), subscriber.handler(state, pusher.sync)))
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
        await server.start()
    except BaseException:
        await pusher.aclose()
        raise
    return Server(host, bound, state, server, pusher)
