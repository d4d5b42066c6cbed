"""P6: many callers of one client at once, against the client library's pool with one call each."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from scripts.benchmarks.report import Row, faster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scripts.benchmarks.bench import Bench

TASKS, COMMANDS = 64, 12_800
KEY = "raptorflow:benchmark"


def measure(bench: Bench) -> list[Row]:
    """Microseconds for each command, 64 tasks that each wait for their own answer."""
    os.environ.update({name: value for name, value in bench.cloud().items() if name.startswith("UPSTASH_")})
    ours, pool = asyncio.run(_measure(bench.rounds))
    return [faster("P6", "shared client, 64 tasks", ours, pool, unit="µs", target=2, against="redis-py's pool")]


async def _measure(rounds: int) -> tuple[list[float], list[float]]:
    from redis.asyncio import Redis  # noqa: PLC0415 - only where it is measured

    config = RedisConfig.from_environment()
    client, peer = RedisClient(config), Redis.from_url(config.url, protocol=2, decode_responses=True)
    await client.set(KEY, "x" * 100, ex=600)
    ours: list[float] = []
    pool: list[float] = []
    for number in range(rounds + 1):
        for taken, get in ((ours, client.get), (pool, peer.get)):
            each = await _each(get)
            if number:
                taken.append(each)
    await client.aclose()
    await peer.aclose()
    return ours, pool


async def _each(get: Callable[[str], Awaitable[object]]) -> float:
    async def task() -> None:
        for _ in range(COMMANDS // TASKS):
            await get(KEY)

    began = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    return (time.perf_counter() - began) / COMMANDS * 1e6
