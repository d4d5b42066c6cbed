"""Start and stop a local Cloud Tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from tools.local.tasks.dispatcher import Dispatcher
from tools.local.tasks.service import Service
from tools.local.tasks.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (("grpc.so_reuseport", 0),)  # a second server on a port must fail, not take half of the calls


@dataclass(frozen=True, slots=True)
class Server:
    """A running local Cloud Tasks.

    Attributes:
        port: its port, also where 0 was asked for.
        state: what it holds, for looking.
    """

    port: int
    state: State
    _grpc: grpc.aio.Server
    _dispatcher: Dispatcher

    async def stop(self) -> None:
        """End calls and dispatches, free the port and forget everything."""
        await self._grpc.stop(grace=None)
        await self._dispatcher.aclose()


async def start(port: int, *, sign: Callable[[str, str], str], host: str = "127.0.0.1") -> Server:
    """Serve ``google.cloud.tasks.v2`` without TLS.

    Args:
        port: the port, 0 for a free one.
        sign: makes the OIDC token of a dispatch: e-mail of the service account, audience -> token.
        host: the address to listen on.

    Raises:
        RuntimeError: the port is taken.
    """
    dispatcher = Dispatcher(sign)
    state = State(dispatcher.open, dispatcher.close)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((Service(state, dispatcher).handler(),))
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
        await server.start()
    except BaseException:
        await dispatcher.aclose()
        raise
    return Server(bound, state, server, dispatcher)
