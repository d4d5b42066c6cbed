"""Live messages (R16): heard by who listens now, lost to everybody else. Durable delivery is Pub/Sub's business."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from common.errors import InvalidInput, Unavailable
from common.lifecycle import per_loop
from common.redis import keys
from common.redis.client import redis_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1_000_000


class PubSubService:
    """Publishing and listening on named channels, in JSON.

    Example:
        >>> await PubSubService().publish("session_events", {"type": "started"})
        1
    """

    async def publish(self, channel: str, message: dict[str, Any]) -> int:
        """Tell everybody who listens; how many that were.

        Raises:
            InvalidInput: the message is not JSON, or larger than a megabyte.
            Unavailable: Redis did not answer in time.
        """
        try:
            text = json.dumps(message, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"a live message must be JSON ({error})") from None
        if len(text) > MAX_MESSAGE_BYTES:
            raise InvalidInput(f"a live message may have at most {MAX_MESSAGE_BYTES} bytes")
        return await redis_client().publish(keys.pubsub(channel), text)

    async def subscribe(self, channel: str, callback: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        """Call ``callback`` with every message of ``channel`` until `unsubscribe`; a second call replaces the first.

        An exception of the callback is logged and ends nothing.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        await self.unsubscribe(channel)
        await _subscriptions().add(channel, callback)

    async def unsubscribe(self, channel: str) -> None:
        """Stop listening; nothing where nobody did."""
        await _subscriptions().remove(channel)


class _Subscriptions:
    """The listening tasks of one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, channel: str, callback: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415

        listener = redis_client().listener()
        try:
            await listener.subscribe(keys.pubsub(channel))
            await listener.get_message(timeout=1.0)  # the confirmation: from here on nothing is missed
        except (RedisError, OSError) as error:
            await listener.aclose()  # type: ignore[no-untyped-call] # the library's
            raise Unavailable(f"Redis cannot subscribe ({type(error).__name__})") from error
        self._tasks[channel] = asyncio.create_task(_listen(listener, callback))

    async def remove(self, channel: str) -> None:
        task = self._tasks.pop(channel, None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def aclose(self) -> None:
        for channel in list(self._tasks):
            await self.remove(channel)


async def _listen(listener: Any, callback: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
    try:
        async for message in listener.listen():
            try:
                await callback(json.loads(message["data"]))
            except Exception:
                log.exception("a live listener failed")
    finally:
        await listener.aclose()


@per_loop
def _subscriptions() -> _Subscriptions:
    return _Subscriptions()
