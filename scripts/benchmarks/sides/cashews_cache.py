"""``cashews`` on Redis; ``lock=True`` is its protection against a crowd at a cold key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cashews import Cache

from scripts.benchmarks.sides.plain import VALUE, name
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Storing, hitting, and a cold key; the latter tells how often its value was made."""
    cache = Cache()
    cache.setup(url, max_connections=64)
    await cache.init()
    made = 0

    async def store(number: int) -> None:
        await cache.set(f"cashews:{name(number)}", VALUE, expire=600)

    async def hit(number: int) -> None:
        if (await cache.get(f"cashews:{name(number)}"))["id"] != 7:
            raise RuntimeError("another value")

    async def make(number: int) -> dict[str, Any]:  # noqa: ARG001 - a part of the key
        nonlocal made
        made += 1
        await asyncio.sleep(0.3)
        return VALUE

    ask = cache(ttl="10m", key="cold:{number}", lock=True)(make)

    async def cold(tasks: int, count: int) -> int:
        before = made
        await asyncio.gather(*(ask(count) for _ in range(tasks)))
        return made - before

    yield {"store": each(store), "hit": each(hit), "cold": cold}
    await cache.close()


if __name__ == "__main__":
    serve(prepare)
