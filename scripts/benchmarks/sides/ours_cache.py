"""Ours: `CacheService`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from common.lifecycle import aclose_all
from common.redis.cache import CacheService
from scripts.benchmarks.sides.plain import VALUE, name
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation

WORKSPACE = "7d1c1f2e-0000-4000-8000-000000000002"


@asynccontextmanager
async def prepare(_url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Storing, hitting, clearing, and a cold key; the latter tells how often its value was made."""
    cache = CacheService()

    async def store(number: int) -> None:
        await cache.set(WORKSPACE, name(number), VALUE, ttl=600)

    async def hit(number: int) -> None:
        value = await cache.get(WORKSPACE, name(number))
        if value is None or value["id"] != 7:
            raise RuntimeError("another value")

    async def clear(_number: int) -> None:
        await cache.clear_workspace(WORKSPACE)

    async def cold(tasks: int, count: int) -> int:
        made = 0

        async def make() -> dict[str, Any]:
            nonlocal made
            made += 1
            await asyncio.sleep(0.3)
            return VALUE

        await asyncio.gather(*(cache.get_or_set(WORKSPACE, f"cold{count}", make, ttl=600) for _ in range(tasks)))
        return made

    yield {"store": each(store), "hit": each(hit), "clear": each(clear), "cold": cold}
    await aclose_all()


if __name__ == "__main__":
    serve(prepare)
