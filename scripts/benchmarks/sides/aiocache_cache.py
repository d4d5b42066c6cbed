"""``aiocache`` with JSON on Redis; ``cached_stampede`` is its protection against a crowd at a cold key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from aiocache import Cache, cached_stampede
from aiocache.serializers import JsonSerializer

from scripts.benchmarks.sides.plain import VALUE, name
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Storing, hitting, and a cold key; the latter tells how often its value was made."""
    server = urlsplit(url)
    options: dict[str, Any] = {
        "endpoint": server.hostname,
        "port": server.port,
        "password": unquote(server.password or ""),
        "namespace": "aiocache",
        "serializer": JsonSerializer(),
        "pool_max_size": 64,
    }
    cache = Cache(Cache.REDIS, **options)

    async def store(number: int) -> None:
        await cache.set(name(number), VALUE, ttl=600)

    async def hit(number: int) -> None:
        if (await cache.get(name(number)))["id"] != 7:
            raise RuntimeError("another value")

    async def cold(tasks: int, count: int) -> int:
        made = 0

        async def make(_number: int) -> dict[str, Any]:
            nonlocal made
            made += 1
            await asyncio.sleep(0.3)
            return VALUE

        ask = cached_stampede(lease=2, ttl=600, cache=Cache.REDIS, **options)(make)
        await asyncio.gather(*(ask(count) for _ in range(tasks)))
        return made

    yield {"store": each(store), "hit": each(hit), "cold": cold}
    await cache.close()


if __name__ == "__main__":
    serve(prepare)
