"""The client library's connections, less what they send by themselves."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakSet

from hiredis import Reader
from redis.asyncio import connection as library
from redis.exceptions import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.config import RedisConfig


owners: WeakSet[Any] = WeakSet()
"""Who has a connection open now."""

_inherited: list[Any] = []


def _keep_inherited() -> None:
    """Never let a child collect its parent's connections: closing one ends the parent's too, by TLS and by epoll."""
    _inherited.extend(owners)
    owners.clear()


os.register_at_fork(after_in_child=_keep_inherited)


_READ_BYTES = 65_536
_MORE = object()
"""Stands for an answer whose end has not come yet."""


class _Quiet:
    """Sends nothing when it has connected, writes without waiting for earlier answers, reads all that have come."""

    _parser: Any
    _reader: Any  # an asyncio.StreamReader once connected
    _writer: Any
    _stream: asyncio.StreamWriter
    _answers: Reader

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - theirs
        """Send no AUTH and no SELECT: they leave with the first command."""
        self._parser.on_connect(self)
        self._stream = self._writer
        self._answers = Reader(InvalidResponse, self._parser.parse_error, notEnoughData=_MORE)

    async def read(self) -> list[Any]:
        """Wait for answers; all that have come by then: bytes as bytes, errors as the client library's exceptions.

        One turn of the event loop for many: the library's own way takes several awaits for each of them.

        Raises:
            ConnectionResetError: the other side has hung up.
        """
        answers: list[Any] = []
        while not answers:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the other side has hung up")
            self._answers.feed(data)
            try:
                while (answer := self._answers.gets()) is not _MORE:
                    answers.append(answer)
            except InvalidResponse as error:
                answers.append(error)
        return answers

    def write(self, chunks: Sequence[bytes]) -> None:
        """Write without waiting."""
        self._writer.writelines(chunks)

    def ended(self) -> bool:
        """Whether one of the two sides has closed it."""
        return self._writer is None or self._writer.is_closing() or self._reader.at_eof()

    def unsent_bytes(self) -> int:
        """What was written and has not left yet."""
        size: int = self._writer.transport.get_write_buffer_size() if self._writer else 0
        return size

    async def drain(self) -> None:
        """Wait until most of it has left."""
        if self._writer is not None:
            await self._writer.drain()

    async def end(self, seconds: float) -> None:
        """Close; cut it where the other side does not say good-bye within ``seconds``, as TLS wants it to."""
        self._parser.on_disconnect()
        self._reader = self._writer = None
        self._stream.close()
        try:
            async with asyncio.timeout(seconds):
                await self._stream.wait_closed()
        except TimeoutError:
            self._stream.transport.abort()
        except OSError:
            pass  # it was lost: that is closed


class Plain(_Quiet, library.Connection):
    """TCP."""


class Encrypted(_Quiet, library.SSLConnection):
    """TLS."""


Connection: TypeAlias = Plain | Encrypted


class Connected(NamedTuple):
    """A connection on which nothing was sent yet, and what has to be.

    Attributes:
        connection: open.
        username: for AUTH.
        password: for AUTH; empty for none.
        database: to SELECT; 0 is selected already.
    """

    connection: Connection
    username: str
    password: str
    database: int


async def connect(config: RedisConfig) -> Connected:
    """Connect, TLS included.

    Raises:
        RedisError: it cannot be reached, or its certificate is not trusted.
    """
    options: dict[str, Any] = dict(library.parse_url(config.url))
    kind = Encrypted if options.pop("connection_class", None) is library.SSLConnection else Plain
    username, password = options.pop("username", "default"), options.pop("password", "")
    database = options.pop("db", 0)
    connection = kind(
        **options,
        protocol=2,
        socket_timeout=None,  # every request has a time-out of its own
        socket_connect_timeout=config.connect_timeout,
        socket_keepalive=True,
        driver_info=None,
    )
    await connection.connect()  # type: ignore[no-untyped-call] # the library's
    return Connected(connection, username, password, database)
