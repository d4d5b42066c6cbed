"""Waking workers that sleep: those of this event loop for nothing, those elsewhere by a live message."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

from common.backoff import pauses
from common.errors import Unavailable
from common.lifecycle import per_loop
from common.redis import keys
from common.redis.client import redis_client
from common.redis.listener import listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


class Bell:
    """Wakes one sleeping worker.

    Attributes:
        rung: there may be a job; whoever looks sets it back.
        news: set for anything that the worker waits for.
    """

    def __init__(self) -> None:
        self.rung = False
        self.news = asyncio.Event()

    def ring(self) -> None:
        """There may be a job."""
        self.rung = True
        self.news.set()


@per_loop
def _bells() -> defaultdict[str, WeakSet[Bell]]:
    return defaultdict(WeakSet)


def new_bell(queue_name: str) -> Bell:
    """A bell of this event loop, for as long as somebody keeps it."""
    bell = Bell()
    _bells()[queue_name].add(bell)
    return bell


def ring(queue_name: str) -> None:
    """Wake the workers of this event loop."""
    for bell in list(_bells()[queue_name]):
        bell.ring()


async def announce(queue_name: str) -> None:
    """Wake the workers that run continuously, wherever they are (X = 1).

    Example:
        >>> await QueueService().enqueue("emails", data, wake=partial(announce, "emails"))
    """
    await redis_client().execute("PUBLISH", _channel(queue_name), "", idempotent=True)


class _Announcements:
    """Rings for each announcement, and whenever some may have been missed."""

    def __init__(self, queue_name: str, bell: Bell) -> None:
        self.channel = _channel(queue_name)
        self._bell = bell

    def hear(self, _content: bytes) -> None:
        self._bell.ring()

    def fall_behind(self) -> None:
        self._bell.ring()

    async def stop(self) -> None:
        """Nothing runs."""


@asynccontextmanager
async def hearing(queue_name: str, bell: Bell) -> AsyncIterator[None]:
    """Ring ``bell`` for each announcement while the context lasts, from when Redis can be reached on.

    It takes a connection of its own, which all subscriptions of the event loop share and which is quiet meanwhile.
    """
    announcements = _Announcements(queue_name, bell)
    subscribing = asyncio.create_task(_subscribe(announcements))
    try:
        yield
    finally:
        subscribing.cancel()
        await asyncio.wait([subscribing])
        await listener().remove(announcements)


async def _subscribe(announcements: _Announcements) -> None:
    for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
        try:
            await listener().add(announcements)
        except Unavailable as error:
            log.warning("announcements of a queue cannot be heard yet: %s", error)
            await asyncio.sleep(pause)
        else:
            announcements.fall_behind()
            return


def _channel(queue_name: str) -> str:
    return keys.pubsub(f"queue/{queue_name}")
