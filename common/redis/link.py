"""One connection to Redis, written to at any time: answers come back in the order of the commands.

The client library connects and encrypts, hiredis parses. The library's pool and pipelines are not used: with them a
connection carries one caller's commands at a time, and a new one waits for an answer to AUTH before the first command
may leave; here AUTH leaves in one write with what is to be done. Imported at the first connection, since it imports the
client library.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from common.errors import Misconfigured, Unavailable
from common.redis.connection import connect, owners
from common.redis.errors import from_reply
from common.redis.request import Request
from common.redis.wire import pack_internal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from common.redis.config import RedisConfig
    from common.redis.connection import Connection

log = logging.getLogger(__name__)

_HIGH_WATER_BYTES = 256_000


class Link:
    """An open connection. Made by `open_link`, used by one `Batcher` on one event loop."""

    def __init__(self, connection: Connection, config: RedisConfig, context: Context) -> None:
        self._connection = connection
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._last_used = self._loop.time()
        self._retired = False
        self._opening: list[Request] = []
        self.waiting: deque[Request] = deque()
        self.lost: Callable[[Link, BaseException], None] = lambda _link, _error: None
        self._reading = self._loop.create_task(self._read(), context=context)
        owners.add(self)

    def usable(self) -> bool:
        """Whether more may be written: it is not retired, not ended, not stuck and not quiet for too long."""
        if self._retired or self._connection.ended():
            return False
        now = self._loop.time()
        if self.waiting:
            head = self.waiting[0]
            return now - head.sent_at <= max(self._config.command_timeout, head.seconds)
        return now - self._last_used <= self._config.max_idle

    @property
    def congested(self) -> bool:
        """Whether the server reads more slowly than we write."""
        return self._connection.unsent_bytes() > _HIGH_WATER_BYTES

    async def drain(self) -> None:
        """Wait until the server has read enough of what was written, the connection is lost, or it may be stuck."""
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(self._config.command_timeout):
                await self._connection.drain()

    def begin(self, request: Request) -> None:
        """Let ``request`` leave in front of the first ones that are written."""
        self._opening.append(request)

    def write(self, requests: Sequence[Request]) -> None:
        """Write all requests at once."""
        requests, self._opening = [*self._opening, *requests], []
        now = self._last_used = self._loop.time()
        for request in requests:
            request.sent_at, request.link = now, self
            request.tries += 1
        self.waiting.extend(requests)
        self._connection.write([request.payload for request in requests])

    def retire(self) -> None:
        """Write nothing more; close as soon as nobody waits for an answer."""
        self._retired = True
        if all(request.future.done() for request in self.waiting):
            self._reading.cancel()

    async def aclose(self) -> None:
        """Close now; who waits is told that the outcome is unknown."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            while not (self._retired and not self.waiting):
                for reply in await self._connection.read():
                    self._answer(reply)
        except AuthenticationError:
            self._end(Misconfigured(f"Redis refuses the password: {self._config.password_hint}"))
        except (RedisError, OSError) as error:
            self._end(error)
        except asyncio.CancelledError as error:
            self._end(error)
            raise
        except Exception as error:
            log.exception("an answer of Redis's could not be read")
            self._end(error)
        else:
            self._end(ConnectionResetError("retired"))
        finally:
            owners.discard(self)
            await self._connection.end(self._config.command_timeout)

    def _end(self, error: BaseException) -> None:
        self._retired = True
        self.lost(self, error)

    def _answer(self, reply: Any) -> None:
        if isinstance(reply, RedisError) and not isinstance(reply, ResponseError):
            raise reply  # of the connection, not of a command
        if not self.waiting:
            raise ConnectionResetError("an answer to nothing")
        request = self.waiting[0]
        request.replies.append(ours(reply))
        if len(request.replies) == request.commands:
            self.waiting.popleft()
            if not request.future.done():  # a cancelled caller's answer is read all the same: the next is not his
                request.future.set_result(request.replies)


def ours(reply: Any) -> Any:
    """An answer with the library's errors as ours."""
    if isinstance(reply, ResponseError):
        code = getattr(reply, "status_code", None)
        text = str(reply)
        if not code:
            code, _, text = text.partition(" ") if text[:3].isupper() else ("ERR", "", text)
        return from_reply(code, text)
    return [ours(item) for item in reply] if isinstance(reply, list) else reply


async def open_link(config: RedisConfig, context: Context) -> Link:
    """Connect; AUTH is left to leave with the first command, unless a database has to be selected before it.

    Args:
        config: where to, and who we are.
        context: of the task that reads, so that it does not keep the caller's alive.

    Raises:
        Unavailable: nobody answers in time.
        Misconfigured: the password is refused (found out later where nothing had to be selected).
    """
    try:
        connection, username, password, database = await connect(config)
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"Redis cannot be reached at {config.server} ({type(error).__name__})") from error
    link = Link(connection, config, context)
    try:
        await asyncio.sleep(0)  # it begins to read; a task that is cancelled before that would close nothing
    except asyncio.CancelledError:
        await link.aclose()
        raise
    opening = [pack_internal("AUTH", username, password)] if password else []
    if database:
        opening.append(pack_internal("SELECT", database))
    if opening:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Any]] = loop.create_future()
        seconds, payload = config.connect_timeout, b"".join(opening)
        link.begin(Request(payload, len(opening), future, seconds, loop.time() + seconds, idempotent=False))
        if database:
            link.write([])
            await _selected(link, future, config)
        else:
            future.cancel()  # nobody waits for it, so that it keeps no retired connection open either
    return link


async def _selected(link: Link, future: asyncio.Future[list[Any]], config: RedisConfig) -> None:
    def lost(_link: Link, error: BaseException) -> None:
        if not future.done():
            future.set_exception(error if isinstance(error, Misconfigured) else Unavailable("Redis hung up"))

    link.lost = lost
    try:
        async with asyncio.timeout(config.connect_timeout):
            replies = await future
    except BaseException as error:
        await link.aclose()
        if isinstance(error, TimeoutError):
            raise Unavailable(f"Redis does not answer at {config.server}") from error
        raise
    failed = next((reply for reply in replies if isinstance(reply, Exception)), None)
    if failed is not None:
        await link.aclose()
        path = urlsplit(config.url).path
        raise Misconfigured(f"Redis has no database {path}: change UPSTASH_REDIS_URL") from failed
