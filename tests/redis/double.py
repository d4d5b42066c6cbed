"""fakeredis as a server: for what needs a Redis and none of its details."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fakeredis import TcpFakeServer
from fakeredis._clients._tcp_server import TCPFakeRequestHandler
from fakeredis._helpers import SimpleError
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Handler(TCPFakeRequestHandler):
    """Answers an error and goes on, as servers do; fakeredis 2.40 hangs up after it, and loses its code."""

    def setup(self) -> None:
        super().setup()
        read = self.current_client.read_response

        def answer(**_options: Any) -> Any:
            try:
                return read()
            except ResponseError as error:
                text = str(error)
                return SimpleError(text) if text.partition(" ")[0].isupper() else error

        self.current_client.read_response = answer  # type: ignore[method-assign] # there is no other place to do it


@contextmanager
def double(version: tuple[int, int] = (7, 0)) -> Iterator[int]:
    """A fresh double of a Redis, 7.0 if nothing is said, while the context lasts; its port."""
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis", server_version=version)
    server.RequestHandlerClass = _Handler
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
