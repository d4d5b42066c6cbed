"""The least queue that acknowledges: a stream and a consumer group, on redis-py."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation

BODY = '{"workspace": "w1", "number": 1}'


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Enqueueing, and taking with acknowledgement, one job at a time."""
    redis: Any = Redis.from_url(url, max_connections=64)

    async def begin(_tasks: int, _count: int) -> None:
        try:
            await redis.xgroup_create("stream", "group", id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def enqueue(_number: int) -> None:
        await redis.xadd("stream", {"body": BODY})

    async def work(_number: int) -> None:
        ((_, ((name, _),)),) = await redis.xreadgroup("group", "consumer", {"stream": ">"}, count=1)
        await redis.xack("stream", "group", name)

    yield {"begin": begin, "enqueue": each(enqueue), "work": each(work)}
    await redis.aclose()


if __name__ == "__main__":
    serve(prepare)
