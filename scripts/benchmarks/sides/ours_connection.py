"""Ours: a new connection and what is asked on it first."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Connections that stay open."""
    opened: list[RedisClient] = []

    async def connect(_number: int) -> None:
        opened.append(RedisClient(RedisConfig(url)))
        await opened[-1].ping()

    yield {"connect": each(connect)}
    for one in opened:
        await one.aclose()


if __name__ == "__main__":
    serve(prepare)
