"""What the tests of the cache hold up, start and look at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from common.redis import keys
from common.redis.cache_entry import Entry

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from common.redis.client import RedisClient

W = "w"
SLOT = keys.cache(W, "k")


class Work:
    """A factory that a test holds up: it begins, waits to be let go, and answers how often it began."""

    def __init__(self, outcome: Exception | None = None) -> None:
        self.begun = 0
        self.cancelled = 0
        self.running = asyncio.Event()
        self.go = asyncio.Event()
        self._outcome = outcome

    async def __call__(self) -> int:
        self.begun += 1
        self.running.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self._outcome is not None:
            raise self._outcome
        return self.begun


def start(call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Let a call begin."""
    return asyncio.create_task(call)


async def read(client: RedisClient) -> Entry | None:
    """What lies at `SLOT`."""
    raw = await client.execute("GET", SLOT, raw=True)
    return None if raw is None else Entry.decode(raw)
