"""The connection that listens: one per process and event loop, for all subscriptions, and never given up.

A command connection cannot listen, so it is another one, opened with the first subscription and closed after the last.
When it is lost it is opened again, with pauses up to `_LONGEST_PAUSE`, and every subscription is told that it may have
missed something. The system's keep-alive (the client library's defaults: after 30 s, at no command) notices a
connection that was forgotten on the way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from common.backoff import pauses
from common.errors import Misconfigured, RaptorFlowError, Unavailable
from common.functions.deadline import remaining
from common.lifecycle import per_loop
from common.redis.client import redis_client
from common.redis.wire import pack_internal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from common.redis.config import RedisConfig
    from common.redis.connection import Connection

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


class Subscriber(Protocol):
    """Whom a channel's messages are told.

    Attributes:
        channel: by its name in Redis.
    """

    channel: str

    def hear(self, content: bytes, /) -> None:
        """Take a message."""

    def fall_behind(self) -> None:
        """Something may have been published that was not heard."""

    async def stop(self) -> None:
        """There will be nothing more."""


class Listener:
    """The listening connection of one event loop."""

    def __init__(self, config: RedisConfig) -> None:
        self._config = config
        self._subscriptions: dict[str, set[Subscriber]] = {}
        self._connection: Connection | None = None
        self._running: asyncio.Task[None] | None = None
        self._asked: Counter[str] = Counter()
        self._listening: set[str] = set()
        self._confirmations: dict[str, asyncio.Future[None]] = {}

    async def add(self, subscription: Subscriber) -> None:
        """Let ``subscription`` hear its channel from now on (X = 1, or 0 where somebody hears it already).

        Raises:
            Unavailable: Redis cannot be reached.
            Misconfigured: it refuses the password.
        """
        seconds = self._config.connect_timeout + self._config.command_timeout
        self._subscriptions.setdefault(subscription.channel, set()).add(subscription)
        try:
            async with asyncio.timeout(remaining(seconds)):
                await self._confirmed(subscription.channel)
        except BaseException as error:
            await self.remove(subscription)
            if isinstance(error, TimeoutError):
                raise Unavailable(f"Redis did not subscribe within {seconds:.0f} s") from error
            raise

    async def remove(self, subscription: Subscriber) -> None:
        """Let it hear nothing more; the last one closes the connection."""
        channel = subscription.channel
        others = self._subscriptions.get(channel, set())
        others.discard(subscription)
        if others or channel not in self._subscriptions:
            return
        del self._subscriptions[channel]
        self._listening.discard(channel)
        self._confirmations.pop(channel, None)
        if not self._subscriptions:
            await self._close()
        elif self._connection is not None:
            self._connection.write([pack_internal("UNSUBSCRIBE", channel)])

    async def aclose(self) -> None:
        """Stop all subscriptions, and close."""
        for subscription in [one for some in self._subscriptions.values() for one in some]:
            await subscription.stop()
        self._subscriptions.clear()
        await self._close()

    async def _close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait([running])

    async def _confirmed(self, channel: str) -> None:
        if channel in self._listening:
            return
        if channel not in self._confirmations:
            self._confirmations[channel] = asyncio.get_running_loop().create_future()
            if self._connection is not None:
                self._subscribe(self._connection, channel)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="listens to Redis", context=Context())
        await asyncio.shield(self._confirmations[channel])

    def _subscribe(self, connection: Connection, *channels: str) -> None:
        self._asked.update(channels)
        connection.write([pack_internal("SUBSCRIBE", *channels)])

    async def _run(self) -> None:
        tries = pauses(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                async with self._connected() as connection:
                    while True:
                        for reply in await connection.read():
                            if isinstance(reply, Exception):
                                raise reply
                            if self._take(reply):
                                tries = pauses(_FIRST_PAUSE, _LONGEST_PAUSE)
            except RaptorFlowError as error:
                log.warning("listening was interrupted: %s", error)
                self._refuse(error)
            await asyncio.sleep(next(tries))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """A connection that was asked for all channels, AUTH in the same write; what breaks it, as an error of ours."""
        from redis.exceptions import AuthenticationError, RedisError, ResponseError  # noqa: PLC0415 - at the first use

        from common.redis.connection import connect, owners  # noqa: PLC0415 - imports the client library
        from common.redis.link import ours  # noqa: PLC0415

        try:
            connection, username, password, _ = await connect(self._config)
            owners.add(self)
            try:
                if password:
                    connection.write([pack_internal("AUTH", username, password)])
                self._connection = connection
                self._subscribe(connection, *self._subscriptions)
                yield connection
            finally:
                self._connection = None
                self._asked.clear()
                self._listening.clear()
                owners.discard(self)
                await connection.end(self._config.command_timeout)
        except AuthenticationError as error:
            raise Misconfigured(f"Redis refuses the password: {self._config.password_hint}") from error
        except ResponseError as error:
            raise ours(error) from error
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis does not answer at {self._config.server} ({type(error).__name__})") from error

    def _take(self, reply: Any) -> bool:
        """Pass on what was read; whether it was the confirmation of a channel."""
        if not isinstance(reply, list):
            return False  # the answer to AUTH
        kind, name, content = reply
        channel = name.decode()
        subscriptions = self._subscriptions.get(channel, set())
        if kind == b"message":
            for subscription in subscriptions:
                subscription.hear(content)
        if kind != b"subscribe":
            return False
        self._asked[channel] -= 1
        if subscriptions and not self._asked[channel]:  # else it was left meanwhile, and perhaps asked for once more
            self._listening.add(channel)
            for subscription in subscriptions:
                subscription.fall_behind()
            if (confirmation := self._confirmations.pop(channel, None)) is not None:
                confirmation.set_result(None)
        return True

    def _refuse(self, error: RaptorFlowError) -> None:
        for confirmation in self._confirmations.values():
            confirmation.set_exception(error)
            confirmation.exception()  # whoever waited may have gone
        self._confirmations.clear()


@per_loop
def listener() -> Listener:
    """The listening connection of this process and event loop."""
    return Listener(redis_client().config)  # which is then closed after it: subscriptions use it
