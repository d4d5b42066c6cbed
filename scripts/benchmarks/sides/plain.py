"""redis-py and nothing else: the least that could do the same, one call each."""

from __future__ import annotations

import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
VALUE = {"id": 7, "name": "campaign", "tags": ["a", "b", "c"], "body": "x" * 120}


def name(number: int) -> str:
    """Of a cached value: every task has one of its own, so that none can share another's read."""
    return f"value{number % 32}"


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """A lock (SET NX, then a script that deletes what is one's own), and a value as JSON."""
    redis: Any = Redis.from_url(url, max_connections=64)
    sha = await redis.script_load(RELEASE)

    async def pair(number: int) -> None:
        lock, token = f"lock{number % 32}", uuid.uuid4().hex  # noqa: TID251 - a peer's, not ours
        if not await redis.set(lock, token, nx=True, px=30_000) or not await redis.evalsha(sha, 1, lock, token):
            raise RuntimeError("somebody else holds it")

    async def store(number: int) -> None:
        await redis.set(name(number), json.dumps(VALUE), px=600_000)

    async def hit(number: int) -> None:
        if json.loads(await redis.get(name(number)))["id"] != 7:
            raise RuntimeError("another value")

    opened: list[Any] = []

    async def connect(_number: int) -> None:
        opened.append(Redis.from_url(url))
        await opened[-1].ping()

    yield {"pair": each(pair), "store": each(store), "hit": each(hit), "connect": each(connect)}
    for one in (redis, *opened):
        await one.aclose()


if __name__ == "__main__":
    serve(prepare)
